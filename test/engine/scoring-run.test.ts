import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { EngineOptions, ScoringRun } from '../../src/engine/scoring-run.js';
import { loadCase, withRun } from './fixture.js';

function centreOf(run: ScoringRun, position: number, dim: number): Float32Array {
  const centres = run.rows('c');
  const row = new Float32Array(centres.dim);
  centres.gather(Int32Array.of(position), 1, row);
  return row.subarray(0, dim);
}

describe('a labelling run', () => {
  it('gives the same bits for any threads, shards, batch and order of nodes', async () => {
    const { model, features, graph } = await loadCase('four_heads');
    const n = graph.nodeCount;
    const observe = (order: Int32Array | undefined, options: EngineOptions) =>
      withRun(model, { features, graph, order, uniteFrom: 0.99 }, options, async (run, score) => {
        const nodeOf = (p: number) => (order ? order[p] : p);
        const centres: Float32Array[] = [];
        await score((part) => {
          if (part !== 'embed') return;
          for (let p = 0; p < n; p++) centres[nodeOf(p)] = centreOf(run, p, model.config.dim);
        });
        const scores = new Map<number, number>();
        const { edges } = run;
        for (let p = 0; p < n; p++) {
          for (let e = edges.offsets[p]; e < edges.offsets[p + 1]; e++) {
            scores.set(nodeOf(p) * n + nodeOf(edges.targets[e]), edges.scores[e]);
          }
        }
        const components = run.components.componentOf();
        const together = (a: number, b: number) => components[a] === components[b];
        const positions = new Int32Array(n);
        for (let p = 0; p < n; p++) positions[nodeOf(p)] = p;
        const partition = Array.from({ length: n }, (_, a) => {
          for (let b = 0; b < a; b++) if (together(positions[a], positions[b])) return b;
          return a;
        });
        return { centres, scores: [...scores].sort((x, y) => x[0] - y[0]), partition };
      });
    const expected = await observe(undefined, { threads: 1, shards: 1, batch: 512 });
    assert.ok(new Set(expected.partition).size > 1 && new Set(expected.partition).size < n);

    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 100 }),
        fc.option(
          fc.shuffledSubarray(
            Array.from({ length: n }, (_, i) => i),
            { minLength: n },
          ),
          { nil: undefined },
        ),
        async (threads, shards, batch, order) => {
          const actual = await observe(order && Int32Array.from(order), { threads, shards, batch });
          assert.deepEqual(actual, expected);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('says what the graph must have when hops are larger', async () => {
    const { model, features, graph } = await loadCase('wide');
    const narrow = { ...graph, width: 5, ids: graph.ids.slice(0, graph.nodeCount * 5) };
    await assert.rejects(
      withRun(model, { features, graph: narrow }, { threads: 1 }, (_, score) => score()),
      { code: 'BAD_USAGE', message: /has 4 neighbours a node, expected at least 8/ },
    );
  });
});
