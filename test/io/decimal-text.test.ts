import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from '../../src/graph/random.js';
import { putInteger, putSixDecimals } from '../../src/io/decimal-text.js';

const written = (put: (text: Uint8Array) => number) => {
  const text = new Uint8Array(32);
  return Buffer.from(text.subarray(0, put(text))).toString();
};

test('float32 numbers are written as toFixed(6) writes them', () => {
  const random = new RandomStream(3, 1, 0);
  const numbers = [0, -0, 1, -1, 1000, -1000, 0.5, 2 ** -20, -(2 ** -30), 0.9999995, 0.99999949, 999.9999];
  for (let i = 0; i < 20_000; i++) numbers.push((random.below(2 ** 24) / 2 ** 24) * 2 - 1);
  // Halves of a millionth are exact where the power of two is.
  for (let i = 1; i < 2000; i += 2) numbers.push(i / 2 ** 7, -i / 2 ** 7);
  for (const value of Float32Array.from(numbers)) {
    assert.equal(
      written((text) => putSixDecimals(text, 0, value)),
      value.toFixed(6),
    );
  }
});

test('integers are written whole, the least among them', () => {
  for (const value of [0, 7, 10, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    assert.equal(
      written((text) => putInteger(text, 0, value)),
      String(value),
    );
  }
});
