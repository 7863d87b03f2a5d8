import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { balancedWeights, coverageOf, cutBlocks } from '../../src/training/concat/blocks.js';
import { smallProblem } from './fixture.js';

const { graph, labels, hops } = smallProblem({ nodeCount: 300, dim: 16, identities: 30 });

describe('blocks', () => {
  it('hold every node once, in as many blocks as asked for, whatever the sizes', () => {
    const sizes = { blockNodes: fc.integer({ min: 1, max: 400 }), cellNodes: fc.integer({ min: 1, max: 400 }) };
    fc.assert(
      fc.property(fc.record({ ...sizes, seed: fc.nat(), epoch: fc.nat(100) }), (options) => {
        const blocks = cutBlocks(graph, options);
        const nodes = blocks.flatMap((block) => [...block.nodes]).sort((a, b) => a - b);
        assert.deepEqual(nodes, [...Array(300).keys()]);
        assert.ok(blocks.every((block) => block.nodes.length > 0));
        assert.ok(blocks.length <= Math.max(1, Math.round(300 / options.blockNodes)));
        for (const block of blocks) assert.ok(block.nodes.length < options.blockNodes * 1.5 + options.cellNodes);
      }),
    );
  });

  it('are the same for one seed and epoch, and others in the next epoch', () => {
    const options = { blockNodes: 60, cellNodes: 20, seed: 5, epoch: 0 };
    assert.deepEqual(cutBlocks(graph, options), cutBlocks(graph, options));
    assert.notDeepEqual(cutBlocks(graph, options), cutBlocks(graph, { ...options, epoch: 1 }));
  });

  it('cover far more pairs than blocks of random nodes, and every pair in some epoch', () => {
    const { width, ids } = graph;
    const seen = new Set<number>();
    let least = 1;
    for (let epoch = 0; epoch < 60; epoch++) {
      const blocks = cutBlocks(graph, { blockNodes: 60, cellNodes: 20, seed: 1, epoch });
      const { pairs, coveredPairs } = coverageOf(graph, labels, hops.sampleHops, blocks);
      least = Math.min(least, coveredPairs / pairs);
      const blockOf = new Map(blocks.flatMap((block, b) => [...block.nodes].map((node) => [node, b])));
      for (let place = 0; place < ids.length; place++) {
        const [i, column] = [Math.floor(place / width), place % width];
        if (column >= 1 && column <= hops.sampleHops && ids[place] >= 0 && blockOf.get(i) === blockOf.get(ids[place])) {
          seen.add(place);
        }
      }
    }
    const { pairs } = coverageOf(graph, labels, hops.sampleHops, []);
    assert.ok(least > 0.4, `${least}`); // random nodes: 0.2
    assert.ok(seen.size > 0.999 * pairs, `${seen.size} of ${pairs}`);
  });

  it('pairs of nodes without a label count nowhere', () => {
    const some = labels.map((label, i) => (i % 3 === 0 ? -1 : label));
    const block = { nodes: Int32Array.from({ length: 300 }, (_, i) => i) };
    const all = coverageOf(graph, labels, hops.sampleHops, [block]);
    const labelled = coverageOf(graph, some, hops.sampleHops, [block]);
    assert.equal(all.coveredPairs, all.pairs);
    assert.equal(labelled.coveredPositives, labelled.positives);
    assert.ok(labelled.pairs < 0.6 * all.pairs);
  });

  it('balanced weights give both classes their share of all pairs, with mean 1', () => {
    const coverage = { pairs: 1000, positives: 300, coveredPairs: 400, coveredPositives: 200 };
    const [negative, positive] = balancedWeights(coverage);
    assert.ok(Math.abs((positive * 200) / (positive * 200 + negative * 200) - 0.3) < 1e-12);
    assert.ok(Math.abs(positive * 200 + negative * 200 - 400) < 1e-9);
    assert.deepEqual(balancedWeights({ ...coverage, coveredPositives: 0 })[1], 1);
  });
});
