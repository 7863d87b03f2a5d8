import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConcatBackend } from '../../src/backends/backend.js';
import { startBackend } from '../../src/backends/start.js';
import { tileCapacity } from '../../src/backends/tile.js';
import { SharedDisjointSet } from '../../src/cluster/shared-disjoint-set.js';
import { cutShards, type LabelJob } from '../../src/engine/job.js';
import { messageVersion, type ShardResult, type ShardTask, type Verdict } from '../../src/engine/messages.js';
import { ShardRunner } from '../../src/engine/shard-runner.js';
import { allocateStorage, joinStorage } from '../../src/engine/storage.js';
import { Counters } from '../../src/execution/counters.js';
import { startOffsets } from '../../src/graph/candidate-edges.js';
import { concatHead } from '../../src/heads/concat/head.js';
import { ConcatStages } from '../../src/heads/concat/stages.js';
import { factor } from '../../src/model/factored.js';
import { type Case, loadCase } from './fixture.js';

/** Runs all stages on this thread; `fault` may throw before a stage of the back-end, and the task is then run again. */
async function scoresOf(input: Case, fault: () => void): Promise<{ scores: Float32Array; failures: number }> {
  const { model, graph, features } = input;
  const { k1, k2, sampleHops, dim } = model.config;
  const n = graph.nodeCount;
  const batch = 16;
  const factored = factor(model);
  const backend = await startBackend('native', factored, tileCapacity(batch, k1, k2));
  const faulty: ConcatBackend = {
    ...backend,
    async run(stage, count) {
      if (stage === 'embed' || stage === 'split') fault();
      await backend.run(stage, count);
    },
  };
  const stages = concatHead.stages(model.config);
  const runner = new ShardRunner(new ConcatStages(faulty, factored, { k1, k2 }, 0), stages, 0);
  const shards = cutShards(n, 2);
  const components = SharedDisjointSet.allocate(n);
  const storage = concatHead.storage(model.config, { paddedDim: dim, listWidth: graph.width });
  const allocate = (per: 'node' | 'edge', count: number) =>
    allocateStorage(storage, per, count, { precision: 'f32', folder: undefined });
  let job: LabelJob = {
    version: 0,
    features,
    nodeCount: n,
    sampleHops,
    batch,
    uniteFrom: 0.5,
    neighbours: graph.ids,
    width: graph.width,
    components: components.handle(),
    storage: allocate('node', n),
    offsets: new Uint32Array(new SharedArrayBuffer((n + 1) * 4)),
    counters: Counters.allocate(1, ['edges', ...stages.map(({ name }) => name)]).handle(),
    finished: new Int32Array(new SharedArrayBuffer(shards.length * 4)),
    cancel: new Int32Array(new SharedArrayBuffer(4)),
  };
  let failures = 0;
  const runStage = async (stage: string) => {
    job.finished.fill(0);
    for (const shard of shards) {
      for (let done = false; !done; ) {
        try {
          await runner.run({ version: messageVersion, stage, round: 0, shard }, job);
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
  const targets = new Int32Array(edgeCount);
  job = { ...job, version: 1, targets, storage: joinStorage(job.storage, allocate('edge', edgeCount)) };
  for (const stage of ['listEdges', 'sortEdges', ...stages.map(({ name }) => name)]) await runStage(stage);
  await backend.release();
  return { scores: job.storage.columns.scores.values, failures };
}

/** T without what another process cannot be sent: memory, functions, instances of classes. */
type Sent<T> = T extends string | number | boolean | undefined
  ? T
  : T extends ArrayBufferLike | ArrayBufferView | ((...given: never[]) => unknown)
    ? never
    : { readonly [Key in keyof T]: Sent<T[Key]> };
type IsSent<T> = T extends Sent<T> ? true : never;

describe('ShardRunner', () => {
  it('takes and answers messages of plain data', () => {
    const [task, result, verdict]: [IsSent<ShardTask>, IsSent<ShardResult>, IsSent<Verdict>] = [true, true, true];
    assert.ok(task && result && verdict, 'that it compiles is the test');
  });

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
