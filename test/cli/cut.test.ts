import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeNpy } from '../../src/io/npy-writer.js';
import { temporaryFolder } from '../io/python.js';
import { naan } from './naan.js';

test('cut gives clusters of scores that were kept, and replaces no file unasked', async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  await writeNpy(at('edges.npy'), 'i4', [3, 2], Int32Array.of(0, 1, 1, 2, 3, 4));
  await writeNpy(at('scores.npy'), 'f4', [3], Float32Array.of(0.9, 0.4, 0.8));
  const cut = (...args: string[]) =>
    naan(['cut', '--edges', at('edges.npy'), '--scores', at('scores.npy'), '--out', at('labels.txt'), ...args]);

  const { code, stdout, stderr } = await cut('--threshold', '0.5', '--partition', 'threshold', '--rows', '6', '--json');
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    rows: 6,
    edges: 3,
    partition: 'threshold',
    threshold: 0.5,
    clusters: 3,
    singletons: 1,
    unlabelled: 1,
    largest: 2,
  });
  assert.equal(readFileSync(at('labels.txt'), 'utf8'), '0\n0\n1\n2\n2\n-1\n');

  writeFileSync(at('labels.txt'), 'by hand\n');
  const again = await cut('--threshold', '0.3', '--partition', 'threshold');
  assert.equal(again.code, 2);
  assert.match(again.stderr, /labels\.txt: is there already.*--overwrite/);
  assert.equal((await cut('--threshold', '0.3', '--partition', 'threshold', '--overwrite')).code, 0);
  assert.equal(readFileSync(at('labels.txt'), 'utf8'), '0\n0\n0\n1\n1\n');
});
