import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asNaanError, NaanError, rethrowPortable } from '../../src/errors.js';

test('memory that the system refuses has a code of its own, and is no bad usage', () => {
  for (const allocate of [() => new ArrayBuffer(2 ** 52), () => new SharedArrayBuffer(2 ** 52)]) {
    try {
      allocate();
      assert.fail('2^52 bytes were given');
    } catch (error) {
      const known = asNaanError(error);
      assert.equal(known?.code, 'OUT_OF_MEMORY');
      assert.equal(known?.exitCode, 1);
    }
  }
});

test('an error keeps its code when it crosses threads; a fault of the program has none', () => {
  assert.throws(
    () => rethrowPortable(new NaanError('DIVERGED', 'the loss is NaN')),
    (error) => {
      const known = asNaanError(structuredClone(error));
      return known?.code === 'DIVERGED' && known.message === 'the loss is NaN' && known.exitCode === 1;
    },
  );
  assert.equal(asNaanError(new RangeError('Invalid typed array length: -1')), undefined);
  assert.equal(asNaanError(new TypeError('allocation failed')), undefined);
});
