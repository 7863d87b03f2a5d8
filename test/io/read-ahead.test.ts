import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { readAhead } from '../../src/io/read-ahead.js';

const never = new AbortController().signal;

test('stops when told to, though there is more', async () => {
  const controller = new AbortController();
  let ended = false;
  const reading = readAhead('/dev/zero', 0, Infinity, controller.signal).then(() => {
    ended = true;
  });
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  assert.equal(ended, false);
  controller.abort();
  await reading;
});

test('stops at the end of the file', async () => {
  const path = new URL(import.meta.url).pathname;
  await readAhead(path, statSync(path).size - 1, Infinity, never);
});

test('leaves a file that cannot be read to its readers', async () => {
  await readAhead('/there/is/no/such/file', 0, 1, never);
  await readAhead('/', 0, 1, never);
});

test('reads whole bytes, whatever length it is asked for', async () => {
  const path = new URL(import.meta.url).pathname;
  for (const length of [0.5, 100.5, 2 ** 22 + 0.25, 0, -1, -0.5, Number.NaN]) await readAhead(path, 0, length, never);
});
