import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { releaseUnused } from '../../src/memory/release.js';

it('gives back shared memory that nothing names any more, and leaves the rest', async () => {
  const named = new SharedArrayBuffer(2 ** 20);
  const memory = [named, new SharedArrayBuffer(2 ** 20)].map((buffer) => new WeakRef(buffer));
  await setImmediate(); // what a turn has looked at stays until its end
  releaseUnused();
  assert.deepEqual(
    memory.map((one) => one.deref() === undefined),
    [false, true],
  );
  assert.equal(named.byteLength, 2 ** 20);
});
