import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Backend } from '../../src/backends/backend.js';
import { startBackend } from '../../src/backends/start.js';
import { SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { cutShards, type LabelJob, type ShardStage } from '../../src/engine/job.js';
import { ShardRunner } from '../../src/engine/shard-runner.js';
import { Counters } from '../../src/execution/counters.js';
import { startOffsets } from '../../src/graph/candidate-edges.js';
import { ConcatStages, tileCapacity } from '../../src/heads/concat/stages.js';
import { allocateRows } from '../../src/memory/row-store.js';
import { factor } from '../../src/model/factored.js';
import { type Case, loadCase } from './fixture.js';

/** Runs all stages on this thread; `fault` may throw before a stage of the back-end, and the task is then run again. */
async function scoresOf(
  input: Case,
  fault: (stage: keyof Backend) => void,
): Promise<{ scores: Float32Array; failures: number }> {
  const { model, graph, features } = input;
  const { k1, k2, sampleHops, heads, dim } = model.config;
  const n = graph.nodeCount;
  const batch = 16;
  const factored = factor(model);
  const backend = await startBackend('native', factored, tileCapacity(batch, k1, k2));
  const faulty: Backend = {
    ...backend,
    embed: async (count) => {
      fault('embed');
      return backend.embed(count);
    },
    split: async (count) => {
      fault('split');
      return backend.split(count);
    },
  };
  const runner = new ShardRunner(new ConcatStages(faulty, factored, 0), 0);
  const shards = cutShards(n, 2);
  const floats = (length: number) => new Float32Array(new SharedArrayBuffer(length * 4));
  const components = SharedDisjointSet.allocate(n);
  const rows = () => allocateRows({ rowCount: n, dim: heads * dim, precision: 'f32' });
  const a = rows();
  let job: LabelJob = {
    ...{ version: 0, features, nodeCount: n, sampleHops, batch, rounds: 1, uniteFrom: 0.5 },
    ...{ neighbours: graph.ids, width: graph.width, components: components.handle() },
    head: {
      ...{ kind: 'concat', k1, k2 },
      ...{ a, b: rows(), c: a },
      ...{ s: floats(n * heads), t: floats(n * heads), tz: floats(n * heads) },
    },
    offsets: new Uint32Array(new SharedArrayBuffer((n + 1) * 4)),
    counters: new Counters(1).handle(),
    finished: new Int32Array(new SharedArrayBuffer(shards.length * 4)),
    cancel: new Int32Array(new SharedArrayBuffer(4)),
  };
  let failures = 0;
  const runStage = async (stage: ShardStage) => {
    job.finished.fill(0);
    for (const shard of shards) {
      for (let done = false; !done; ) {
        try {
          await runner.run({ stage, round: 0, shard, job });
          done = true;
        } catch (error) {
          assert.equal((error as Error).message, 'injected');
          failures++;
        }
      }
    }
  };
  await runStage('countEdges');
  const edgeCount = startOffsets(job.offsets);
  job = { ...job, version: 1, targets: new Int32Array(edgeCount), scores: floats(edgeCount) };
  for (const stage of ['listEdges', 'sortEdges', 'project', 'aggregate', 'embed', 'split', 'score'] as const)
    await runStage(stage);
  await backend.release();
  assert.ok(job.scores);
  return { scores: job.scores, failures };
}

describe('ShardRunner', () => {
  it('goes on after a failed tile in stages that replace their input, with the same result', async () => {
    const input = await loadCase('one_head');
    const clean = await scoresOf(input, () => {});
    assert.equal(clean.failures, 0);
    let calls = 0;
    const broken = await scoresOf(input, () => {
      if (++calls % 3 === 0) throw new Error('injected');
    });
    assert.ok(broken.failures > 4);
    assert.deepEqual(broken.scores, clean.scores);
  });
});
