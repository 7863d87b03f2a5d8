import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readLabels, writeLabelText } from '../../src/io/labels.js';
import { python, temporaryFolder, without } from './python.js';

test('labels of any int32 survive text', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const label = fc.oneof(fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, -1, 0, 9, 10, 99, 100), fc.integer());
  await fc.assert(
    fc.asyncProperty(fc.array(label, { minLength: 1, maxLength: 50 }), async (values) => {
      await writeLabelText(path, Int32Array.from(values));
      assert.equal(readFileSync(path, 'utf8'), values.map((value) => `${value}\n`).join(''));
      assert.deepEqual([...(await readLabels(path))], values);
    }),
    { numRuns: 100 },
  );
});

test('labels longer than a window and a buffer keep their order', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const labels = Int32Array.from({ length: 700_000 }, (_, i) => (i % 5 === 0 ? -1 : i * 3001));
  await writeLabelText(path, labels);
  assert.ok(Buffer.from(labels.buffer).equals(Buffer.from((await readLabels(path)).buffer)));
});

test('blanks around numbers, Windows line ends and blank lines at the end are understood', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  for (const text of ['5\n-1\n7', '5\n-1\n7\n\n\n', ' 5\r\n-1\t\r\n7\r\n\r\n']) {
    writeFileSync(path, text);
    assert.deepEqual([...(await readLabels(path))], [5, -1, 7], JSON.stringify(text));
  }
});

test('a line that is no 32-bit integer is named', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const cases: [text: string, message: RegExp][] = [
    ['1\n2\nx3\n', /line 3: found "x"/],
    ['1\n2.0\n', /line 2: found "\."/],
    ['1 2\n', /line 1: found "2"/],
    ['1\n--2\n', /line 2: found "-"/],
    ['1\n-\n', /line 2: a sign alone/],
    ['1\n-', /line 2: a sign alone/],
    ['1\n\n3\n', /line 2: blank/],
    ['2147483648\n', /line 1: 2147483648/],
    ['1\n-2147483649', /line 2: -2147483649/],
    ['99999999999999999999999\n', /line 1/],
    ['', /has no labels/],
    ['\n\n', /has no labels/],
  ];
  for (const [text, message] of cases) {
    writeFileSync(path, text);
    await assert.rejects(readLabels(path), { code: 'BAD_INPUT', message }, JSON.stringify(text));
  }
});

test('labels of .npy and .npz may have any integer type', { skip: without('numpy') }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
for kind in ['i1', 'i2', 'i4', 'i8', '>i8', 'u1', 'u2', 'u4', 'u8']:
  np.save(kind.strip('>') + ('be' if '>' in kind else '') + '.npy', np.array([3, 1, 100], kind))
np.savez('labels.npz', embs=np.zeros((3, 1), 'f4'), labels=np.array([3, 1, 100])); np.savez('other.npz', y=np.zeros(3, 'i4'))
np.save('floats.npy', np.zeros(3)); np.save('table.npy', np.zeros((3, 2), 'i4')); np.save('huge.npy', np.array([1, -2**31 - 1]))`,
    folder,
  );
  for (const name of ['i1', 'i2', 'i4', 'i8', 'i8be', 'u1', 'u2', 'u4', 'u8']) {
    assert.deepEqual([...(await readLabels(join(folder, `${name}.npy`)))], [3, 1, 100], name);
  }
  assert.deepEqual([...(await readLabels(join(folder, 'labels.npz')))], [3, 1, 100]);
  const refuse = (name: string, expected: object) => assert.rejects(readLabels(join(folder, name)), expected);
  await refuse('other.npz', { code: 'BAD_INPUT', message: /has no array 'labels', found: 'y'/ });
  await refuse('floats.npy', { code: 'BAD_INPUT', message: /dtype f8, expected integers/ });
  await refuse('table.npy', { code: 'BAD_SHAPE', message: /shape \(3,2\), expected labels \[n\]/ });
  await refuse('huge.npy', { code: 'BAD_INPUT', message: /element 1 is -2147483649, expected a 32-bit integer/ });
});
