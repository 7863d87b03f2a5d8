import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { getSystemErrorName } from 'node:util';
import { mayPass } from '../../src/system-error.js';

test('what a file server says while it starts again may pass, what a disk says does not', () => {
  const errorOf = (number: number) =>
    Object.assign(new Error(), { errno: -number, code: getSystemErrorName(-number), syscall: 'open' });
  const { ENOENT, ESTALE, ENOTCONN, EIO, ENOSPC, EACCES } = constants.errno;
  for (const number of [ENOENT, ESTALE, ENOTCONN]) assert.ok(mayPass(errorOf(number)), String(number));
  for (const number of [EIO, ENOSPC, EACCES]) assert.ok(!mayPass(errorOf(number)), String(number));
  assert.ok(!mayPass(new Error('no error of the system')));
});
