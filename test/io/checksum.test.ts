import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from '../../src/checksum.js';

test('the checksum of pieces is that of the whole, whatever memory pieces without bytes lie in', () => {
  const whole = Buffer.from('123456789');
  assert.equal(crc32(whole), 0xcbf43926);
  for (const none of [new Uint8Array(0), new Uint8Array(new SharedArrayBuffer(0)), Buffer.alloc(0), '']) {
    assert.equal(crc32(whole.subarray(4), crc32(none, crc32(whole.subarray(0, 4)))), 0xcbf43926);
    assert.equal(crc32(none), 0);
  }
});
