import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pool } from '../../src/execution/pool.js';
import { executorSuite } from './executor-suite.js';

const worker = new URL('./flaky-worker.js', import.meta.url);

executorSuite('Pool', () => new Pool({ worker, threads: 2 }));

describe('Pool', () => {
  it('lets every thread start that is still starting, though no task comes', async () => {
    const starts = new Int32Array(new SharedArrayBuffer(8));
    await new Pool({ worker, threads: 2, workerData: starts }).close();
    assert.deepEqual([...starts], [2, 2]);
  });
});
