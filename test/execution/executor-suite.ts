/** What every executor must do, whatever runs its tasks. `start` gives one with two threads that run `flaky-worker.ts`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Executor, TaskCounts } from '../../src/execution/executor.js';
import { runTask } from '../../src/execution/executor.js';
import type { FlakyTask } from './flaky-worker.js';

export function executorSuite(name: string, start: () => Executor): void {
  async function runTasks(make: (id: number, attempts: Int32Array) => FlakyTask, count = 40, signal?: AbortSignal) {
    const attempts = new Int32Array(new SharedArrayBuffer(count * 4));
    const executor = start();
    const done: number[] = [];
    const counts: TaskCounts[] = [];
    const tasks = Array.from({ length: count }, (_, id) => make(id, attempts));
    const failure = await executor
      .runAll<FlakyTask, number>(tasks, ({ id }) => `stage 'embed', shard ${id}`, {
        signal,
        onDone: ({ id }, result) => {
          assert.equal(result, id, 'a result comes with its own task');
          done.push(result);
        },
        onCounts: (c) => counts.push(c),
      })
      .catch((error: unknown) => error as Error);
    await executor.close();
    return { attempts, done: done.sort((a, b) => a - b), counts, failure };
  }

  describe(`${name} as an executor`, () => {
    it('runs every task once and gives each result to its task, with no more in flight than two a thread', async () => {
      const { attempts, done, counts, failure } = await runTasks((id, attempts) => ({ id, attempts, failures: 0 }));
      assert.equal(failure, undefined);
      assert.deepEqual(
        done,
        Array.from({ length: 40 }, (_, i) => i),
      );
      assert.ok(attempts.every((n) => n === 1));
      assert.equal(Math.max(...counts.map((c) => c.running)), 4);
      assert.deepEqual(counts.at(-1), { queued: 0, running: 0, done: 40, retried: 0 });
    });

    it('runs a task that fails once again, and counts it', async () => {
      const { attempts, done, counts, failure } = await runTasks((id, attempts) => ({
        id,
        attempts,
        failures: id === 7 ? 1 : 0,
      }));
      assert.equal(failure, undefined);
      assert.equal(done.length, 40);
      assert.equal(attempts[7], 2);
      assert.equal(counts.at(-1)?.retried, 1);
    });

    it('names stage, shard and cause of a task that fails twice, and starts no more', async () => {
      const { attempts, failure } = await runTasks(
        (id, attempts) => ({ id, attempts, failures: id === 3 ? 9 : 0 }),
        400,
      );
      assert.equal(failure?.message, "stage 'embed', shard 3 failed twice: broken at attempt 2");
      assert.equal((failure as Error & { code?: string }).code, 'SHARD_FAILED');
      assert.ok(attempts.includes(0));
    });

    it('rejects only after the tasks in flight have ended', async () => {
      const { counts, failure } = await runTasks((id, attempts) => ({ id, attempts, failures: id === 3 ? 9 : 0 }));
      assert.ok(failure);
      assert.equal(counts.at(-1)?.running, 0);
    });

    it('tries a task as often as told, and tells of a failure while others run', async () => {
      const attempts = new Int32Array(new SharedArrayBuffer(4 * 4));
      const executor = start();
      let failures = 0;
      const tasks = Array.from({ length: 4 }, (_, id): FlakyTask => ({ id, attempts, failures: id === 1 ? 9 : 0 }));
      const options = { attempts: 1, onFailure: () => failures++ };
      await assert.rejects(
        executor.runAll<FlakyTask, number>(tasks, ({ id }) => `step ${id}`, options),
        { code: 'SHARD_FAILED', message: 'step 1 failed: broken at attempt 1' },
      );
      await executor.close();
      assert.equal(attempts[1], 1);
      assert.equal(failures, 1);
    });

    it('does not retry bad input, and keeps its code', async () => {
      const { attempts, failure } = await runTasks((id, attempts) => ({
        id,
        attempts,
        failures: 0,
        badInput: id === 2,
      }));
      assert.equal(failure?.message, 'row 2 is NaN');
      assert.equal((failure as Error & { code?: string }).code, 'BAD_INPUT');
      assert.equal(attempts[2], 1);
    });

    it('starts nothing after an abort', async () => {
      const { attempts, failure } = await runTasks(
        (id, attempts) => ({ id, attempts, failures: 0 }),
        40,
        AbortSignal.abort(),
      );
      assert.equal((failure as Error & { code?: string }).code, 'CANCELLED');
      assert.ok(attempts.every((n) => n === 0));
    });

    it('runs tasks after a failure, and a single one by itself', async () => {
      const attempts = new Int32Array(new SharedArrayBuffer(8));
      const executor = start();
      await assert.rejects(runTask(executor, { id: 0, attempts, failures: 1 } satisfies FlakyTask, 'the first'), {
        message: 'the first failed: broken at attempt 1',
      });
      assert.equal(await runTask(executor, { id: 1, attempts, failures: 0 } satisfies FlakyTask, 'the second'), 1);
      await executor.close();
    });
  });
}
