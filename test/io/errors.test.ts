import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { asNaanError, NaanError, rethrowPortable } from '../../src/errors.js';
import { systemReason } from '../../src/system-error.js';

test('memory that the system refuses has a code of its own, and is no bad usage', () => {
  for (const allocate of [() => new ArrayBuffer(2 ** 52), () => new SharedArrayBuffer(2 ** 52)]) {
    try {
      allocate();
      assert.fail('2^52 bytes were given');
    } catch (error) {
      const known = asNaanError(error);
      assert.equal(known?.code, 'OUT_OF_MEMORY');
      assert.equal(known?.exitCode, 3);
    }
  }
});

test('an error keeps its code when it crosses threads; a fault of the program has none', () => {
  assert.throws(
    () => rethrowPortable(new NaanError('DIVERGED', 'the loss is NaN')),
    (error) => {
      const known = asNaanError(structuredClone(error));
      return known?.code === 'DIVERGED' && known.message === 'the loss is NaN' && known.exitCode === 4;
    },
  );
  assert.equal(asNaanError(new RangeError('Invalid typed array length: -1')), undefined);
  assert.equal(asNaanError(new TypeError('allocation failed')), undefined);
});

test('the system speaks in words, also where Node has none', () => {
  const failed = (errno: number) => Object.assign(new Error('Unknown system error'), { errno, syscall: 'write' });
  assert.equal(systemReason(failed(-constants.errno.ENOSPC)), 'no space left on device');
  assert.equal(systemReason(failed(-constants.errno.EDQUOT)), 'disk quota exceeded');
  if (process.platform === 'linux') assert.match(systemReason(failed(-77)) ?? '', /file descriptor in bad state/);
  assert.equal(systemReason(failed(-9999)), 'error 9999 of the system');
  assert.equal(systemReason(new Error('EIO')), undefined);
});
