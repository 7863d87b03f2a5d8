import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import { allocateKnnGraph, type KnnGraph, setNeighbours } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { sumOf } from '../../src/memory/plan.js';
import { paddedDim } from '../../src/memory/shared-arrays.js';
import { cutBlocks } from '../../src/training/concat/blocks.js';
import { ClosureFinder } from '../../src/training/concat/closure.js';
import { sizesOf, stepBytes } from '../../src/training/concat/step-memory.js';
import { type ConcatSettings, cellNodes } from '../../src/training/concat/training.js';
import { describeTrainingPlan, planTraining } from '../../src/training/memory-plan.js';
import type { PairwiseSettings } from '../../src/training/pairwise/job.js';
import { maxCopied } from '../../src/training/pairwise/strangers.js';
import { trainers } from '../../src/training/trainers.js';

const gib = 2 ** 30;
const dim = 31;
const nodes = 3001;
const identitySize = 7;
const labels = Int32Array.from({ length: nodes }, (_, node) => Math.floor(node / identitySize));
const graph = nearInNumber(24);

/** Lists of nodes that are near in number, and of some that are not. */
function nearInNumber(k: number): KnnGraph {
  const made = allocateKnnGraph(nodes, k + 1);
  const random = new RandomStream(1, 200, 0);
  for (let node = 0; node < nodes; node++) {
    const others = new Set<number>();
    while (others.size < k) {
      const other = random.uniform() < 0.8 ? (node + random.below(40)) % nodes : random.below(nodes);
      if (other !== node) others.add(other);
    }
    setNeighbours(made, node, [node, ...others], 'made');
  }
  return made;
}

const run = (threads: number) => ({ threads, validation: 0.1 });

describe('the memory of a training', () => {
  for (const [head, trainer] of Object.entries(trainers)) {
    it(`${head}: is whole bytes, and more with more threads`, async () => {
      const settings = trainer.settings({ features: '', knn: graph }, graph.width - 1, 1);
      const [one, two] = await Promise.all(
        [1, 2].map((threads) => trainer.memory({ dim, graph, labels }, settings, run(threads))),
      );
      for (const parts of [one, two]) {
        assert.ok(Object.values(parts).every(Number.isInteger), JSON.stringify(parts));
        assert.ok(
          Object.values(parts).every((bytes) => bytes > 0),
          JSON.stringify(parts),
        );
      }
      assert.ok(sumOf(two) > sumOf(one));
    });
  }

  it('pairwise: counts rows, lists, edges and features of edges of the set and of its copy', async () => {
    const trainer = trainers.pairwise;
    const settings = trainer.settings({ features: '', knn: graph }, graph.width - 1, 1) as PairwiseSettings;
    const parts = await trainer.memory({ dim, graph, labels }, settings, run(1));
    const { copied, identities } = maxCopied(labels);
    assert.equal(identities, Math.ceil(nodes / identitySize));
    assert.ok(copied >= nodes / 4 && copied <= nodes / 4 + identitySize + 1);
    assert.ok(parts.rows >= 4 * nodes * paddedDim(dim));
    assert.ok(parts.graph >= graph.ids.byteLength + 8 * nodes * (settings.k + 1));
    const edges = candidateEdges(graph, settings.sampleHops).targets.length;
    assert.ok(parts.edges >= edges * (4 + 8 + 64 + 8));
    assert.ok(parts.pairs >= edges * 4 * (16 + 31));
  });

  it('concat: counts the step of every block', async () => {
    const trainer = trainers.concat;
    const options = { features: '', knn: graph, batch: 128 };
    const settings = trainer.settings(options, graph.width - 1, 1) as ConcatSettings;
    const { hops, heads, batch, seed } = settings;
    const parts = await trainer.memory({ dim, graph, labels }, settings, { threads: 2, validation: 0 });
    assert.equal(parts.judging, undefined);
    const fixed = { architecture: { head: 'concat', dim, heads } as const, threads: 2 };
    const finder = new ClosureFinder(graph, labels, hops);
    for (const epoch of [1, 2, 3]) {
      for (const block of cutBlocks(graph, { blockNodes: batch, cellNodes, seed, epoch })) {
        const bytes = stepBytes(fixed, sizesOf(finder.find(block), false));
        assert.ok(parts.step >= bytes, `planned ${parts.step}, needed ${bytes}`);
      }
    }
  });

  it('a plan is refused with the size that would do, and advice', () => {
    const parts = { rows: gib, threads: gib / 2 };
    const request = { what: 'a set', advice: 'fewer --threads' };
    const plan = planTraining(parts, { ...request, memory: 2 * gib + 0.5 });
    assert.deepEqual(plan, { parts, memoryBytes: 1.5 * gib, limitBytes: 2 * gib });
    assert.equal(describeTrainingPlan(plan), 'about 1.5 of 2.0 GiB of memory: rows 1.0, threads 0.50');
    assert.throws(() => planTraining(parts, { ...request, memory: gib }), {
      code: 'OUT_OF_MEMORY',
      exitCode: 3,
      message:
        'a set takes 1.5 GiB of memory to train on, but 1.0 GiB may be taken: give that much with --memory, or fewer --threads',
    });
  });
});
