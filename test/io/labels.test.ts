import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { nameOf } from '../../src/io/label-codes.js';
import { readLabels, writeLabels, writeLabelText } from '../../src/io/labels.js';
import { python, temporaryFolder, without } from './python.js';

test('labels of any int32 survive text', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const label = fc.oneof(fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, -1, 0, 9, 10, 99, 100), fc.integer());
  await fc.assert(
    fc.asyncProperty(fc.array(label, { minLength: 1, maxLength: 50 }), async (values) => {
      await writeLabelText(path, Int32Array.from(values));
      assert.equal(readFileSync(path, 'utf8'), values.map((value) => `${value}\n`).join(''));
      assert.deepEqual([...(await readLabels(path)).codes], values);
    }),
    { numRuns: 100 },
  );
});

test('labels longer than a window and a buffer keep their order', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const labels = Int32Array.from({ length: 700_000 }, (_, i) => (i % 5 === 0 ? -1 : i * 3001));
  await writeLabelText(path, labels);
  assert.ok(Buffer.from(labels.buffer).equals(Buffer.from((await readLabels(path)).codes.buffer)));
});

test('blanks around numbers, Windows line ends and blank lines at the end are understood', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  for (const text of ['5\n-1\n7', '5\n-1\n7\n\n\n', ' 5\r\n-1\t\r\n7\r\n\r\n']) {
    writeFileSync(path, text);
    assert.deepEqual(await readLabels(path), { codes: Int32Array.of(5, -1, 7) }, JSON.stringify(text));
  }
});

/** The labels as text, those without one as '-1'. */
async function namesIn(file: string): Promise<string[]> {
  const labels = await readLabels(file);
  return Array.from(labels.codes, (code) => nameOf(labels, code));
}

test('any names are labels, and are told back as they were given', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const cases: [text: string, names: string[]][] = [
    ['anna\nBob Smith\nanna\n-1\n', ['anna', 'Bob Smith', 'anna', '-1']],
    ['0\none\n1.0\n', ['0', 'one', '1.0']],
    ['\uFEFF0\r\n1\r\n0\r\n', ['0', '1', '0']],
    [
      '1000000000000\n-9007199254740993\n-1\n9007199254740992\n',
      ['1000000000000', '-9007199254740993', '-1', '9007199254740992'],
    ],
    ['2147483648\n7\n', ['2147483648', '7']],
    ['0.000000000000000000e+00\n1.000000000000000000e+00\n-1.0\n2.5e1\n', ['0', '1', '-1', '25']],
    ['0000045\n0000101\n0000045\n', ['0000045', '0000101', '0000045']],
    ['+5\n5\n', ['+5', '+5']],
    ['5\n-2\n-1\n', ['5', '-2', '-1']],
    ['José\n李\nO"Neil\n"quoted, with ""all"" of it"\n', ['José', '李', 'O"Neil', 'quoted, with "all" of it']],
    ['nan\nanna\n', ['nan', 'anna']],
  ];
  for (const [text, names] of cases) {
    for (const encoding of ['utf8', 'utf16le'] as const) {
      const mark = encoding === 'utf16le' && !text.startsWith('\uFEFF') ? '\uFEFF' : '';
      writeFileSync(path, Buffer.from(mark + text, encoding));
      assert.deepEqual(await namesIn(path), names, JSON.stringify(text));
    }
  }
  writeFileSync(path, Buffer.from('\uFEFFanna\n-1\n', 'utf16le').swap16());
  assert.deepEqual(await namesIn(path), ['anna', '-1']);
});

test('any names survive being written and read', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const name = fc
    .oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc.bigInt().map(String),
      fc.constantFrom('-1', '7', 'a,b', 'a;b', 'x'),
    )
    .map((text) => text.replace(/["\p{Cc}\p{Zl}\p{Zp}\uFEFF]/gu, '').trim())
    .filter((text) => text !== '');
  await fc.assert(
    fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 30 }), async (names) => {
      // A last line of its own keeps columns from being seen in commas, and numbers from being compared as such.
      const rows = ['first of all', ...names, 'the last'];
      const codes = Int32Array.from(rows, (row) => (row === '-1' ? -1 : rows.indexOf(row)));
      await writeLabels(path, { codes, names: rows });
      assert.deepEqual(await namesIn(path), rows);
    }),
    { numRuns: 200 },
  );
});

test('names of many windows keep their order', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const names = Array.from({ length: 400_000 }, (_, i) => `identité ${(i * 7919) % 50_000}`);
  writeFileSync(path, names.join('\r\n'));
  assert.deepEqual(await namesIn(path), names);
});

test('a column of a table is read by its usual title, or by the one that is named', async (t) => {
  const path = join(temporaryFolder(t), 'list.csv');
  const cases: [text: string, column: string, names: string[]][] = [
    ['label\n3\n4\n3\n', '', ['3', '4', '3']],
    ['identity\nanna\nbob\n', '', ['anna', 'bob']],
    ['# labels\n3\n4\n', '', ['3', '4']],
    ['who\n3\n4\n', '', ['3', '4']],
    ['who\nanna\nbob\n', ':who', ['anna', 'bob']],
    ['label\nanna\nlabel\n', '', ['label', 'anna', 'label']],
    ['path,label\na.jpg,anna\n"b, c.jpg","O""Neil, Sean"\n', '', ['anna', 'O"Neil, Sean']],
    ['path\tlabel\na.jpg\t1\nb.jpg\t2\n', '', ['1', '2']],
    [',person_id\n0,17\n1,18\n', ':person_id', ['17', '18']],
    [',person_id\n0,17\n1,18\n', ':2', ['17', '18']],
    ['a.jpg;17\nb.jpg;18\n', ':2', ['17', '18']],
    ['0 7\n1 8\n', ':2', ['7', '8']],
    ['name,person\nx,anna\ny,bob\n', ':name', ['x', 'y']],
  ];
  for (const [text, column, names] of cases) {
    writeFileSync(path, text);
    assert.deepEqual(await namesIn(path + column), names, JSON.stringify(text));
  }
});

test('labels are a field of JSON Lines, by its usual title or the one that is named', async (t) => {
  const path = join(temporaryFolder(t), 'labels.jsonl');
  const lines = ['{"item": "é, \\n", "label": 7, "by": "label"}', '{"label": -1}', '{"label": 7, "by": "bob"}', ''];
  writeFileSync(path, lines.join('\r\n'));
  assert.deepEqual(await readLabels(path), { codes: Int32Array.of(7, -1, 7) });
  await assert.rejects(readLabels(`${path}:by`), { code: 'BAD_INPUT', message: /line 2: has no label, expected text/ });
  writeFileSync(path, '{"person": "label"}\n{"person": "李"}\n{"person": "label"}');
  assert.deepEqual(await namesIn(path), ['label', '李', 'label']);
  for (const [text, message] of [
    ['{"who": 1}', /labels\.jsonl: is JSON Lines, found the fields: 1 'who': name one as \S+:FIELD/],
    ['{"label": 1}\n{"label": 1.5}', /line 2: has no label/],
    ['{"label": 1}\n{"label": 9007199254740993}', /line 2: has no label/],
    ['{"label": 1}\n\n{"label": 1}', /line 2 is blank/],
    ['{"label": 1}\n5', /line 2: has no label/],
  ] as const) {
    writeFileSync(path, text);
    await assert.rejects(readLabels(path), { code: 'BAD_INPUT', message }, text);
  }
});

test('a line without a label is named, and a table of which no column is meant', async (t) => {
  const path = join(temporaryFolder(t), 'labels.txt');
  const cases: [text: string, message: RegExp, column?: string][] = [
    ['1\n\n3\n', /labels\.txt: line 2 is blank, expected one label a line/],
    ['anna\n \n\nbob\n', /line 2 is blank/],
    ['1.0\n0.5\n', /line 2: '0\.5' is no whole number, expected a label, or -1 for none/],
    ['1\nnan\n', /line 2: 'nan' is no label/],
    ['1\n1e300\n', /line 2: '1e300' is too large for a float/],
    ['path,label\na,1\nb,\n', /line 3: has no label/],
    ['a,1\nb,2\n', /is a table, found the columns: 1 'a', 2 '1': name one as .*labels\.txt:COLUMN/],
    ['label,y\n1,2\n', /is a table, found the columns: 1 'label', 2 'y'/],
    ['a,1\nb,2\n', /has no column '3', found: 1 'a', 2 '1'/, ':3'],
    ['path,label\na,1\n"b,2\n', /line 3: a quote is not closed in it/, ':2'],
    ['', /is empty/],
    ['\n\n', /has no labels/],
    ['x'.repeat(70_000), /line 1 has more than 65536 characters/],
  ];
  for (const [text, message, column = ''] of cases) {
    writeFileSync(path, text);
    await assert.rejects(readLabels(path + column), { code: 'BAD_INPUT', message }, JSON.stringify(text.slice(0, 99)));
  }
  writeFileSync(path, Buffer.from(`${'anna\n'.repeat(2000)}Jos\xe9\n`, 'latin1'));
  await assert.rejects(readLabels(path), { code: 'BAD_INPUT', message: /bytes are not utf-8: save the file as UTF-8/ });
});

test('arrays of any integers, whole floats and text are labels as NumPy has them', {
  skip: without('numpy'),
}, async (t) => {
  const folder = temporaryFolder(t);
  const expected = python(
    `import numpy as np, sys, os, json
os.chdir(sys.argv[1])
cases = {}
def case(name, x, told=None):
  np.save(name + '.npy', x)
  cases[name + '.npy'] = told or [str(v) for v in x.ravel().tolist()]
for kind in ['i1', 'i2', 'i4', 'i8', '>i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', '>f4', 'f8']:
  case(kind.replace('>', 'be'), np.array([3, 1, 100, 3], kind), ['3', '1', '100', '3'])
case('large', np.array([2**40, -2**63, -1, 2**63 - 1, 2**40], 'i8')); case('largest', np.array([2**64 - 1, 0, 5], 'u8'))
case('big', np.array([2**40, -7, -1], '>i8')); case('two53', np.array([2.**53, -1, 4]), [str(2**53), '-1', '4'])
case('names', np.array(['anna', 'Björn', '-1', '李', 'anna'])); case('benames', np.array(['anna', '李'], '>U5'))
case('bytes', np.array(['anna', 'b', 'anna'], 'S'), ['anna', 'b', 'anna']); case('digits', np.array(['7', '-1', '7']))
case('column', np.array([[4], [5]])); case('flags', np.array([True, False]), ['1', '0'])
case('fortran', np.asfortranarray(np.array([[4], [5]])))
np.savez('lone.npz', np.array(['anna', 'bob'])); cases['lone.npz'] = ['anna', 'bob']
np.savez_compressed('y.npz', x=np.zeros((2, 3)), y=np.array(['anna', 'bob'])); cases['y.npz'] = cases['y.npz:y'] = ['anna', 'bob']
np.savez('both.npz', labels=[7, 8], y=[1, 2]); cases['both.npz'] = ['7', '8']; cases['both.npz:y'] = ['1', '2']
np.savetxt('text.txt', [0, 1, -1]); cases['text.txt'] = ['0', '1', '-1']
print(json.dumps(cases))`,
    folder,
  );
  for (const [name, names] of Object.entries<string[]>(JSON.parse(expected))) {
    assert.deepEqual(await namesIn(join(folder, name)), names, name);
  }
});

test('an array that is no labels is refused with file, row and what to do', { skip: without('numpy') }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
np.save('fraction.npy', [1, .5]); np.save('nan.npy', [1, np.nan]); np.save('table.npy', np.zeros((3, 2), 'i4'))
np.save('inexact.npy', [1., 2.**53 + 2]); np.save('inexact4.npy', np.array([1, 2**24 + 2], 'f4'))
np.save('objects.npy', np.array(['a', 1], object), allow_pickle=True); np.save('none.npy', np.array(['a', '']))
np.save('record.npy', np.zeros(2, [('a', 'f4')])); np.save('time.npy', np.array(['2020-01-01'], 'M8[D]'))
np.savez('several.npz', a=[1], b=['x']); np.save('latin.npy', np.array([b'Jos\\xe9']))`,
    folder,
  );
  const refused: [name: string, code: string, message: RegExp][] = [
    ['fraction.npy', 'BAD_INPUT', /fraction\.npy: row 1: '0\.5' is no whole number/],
    ['nan.npy', 'BAD_INPUT', /nan\.npy: row 1: 'NaN' is no label, expected a label, or -1 for none/],
    ['table.npy', 'BAD_SHAPE', /shape \(3,2\), expected labels \[n\]/],
    ['inexact.npy', 'BAD_INPUT', /row 1: 9007199254740994: whole numbers of f8 are exact up to 9007199254740992/],
    [
      'inexact4.npy',
      'BAD_INPUT',
      /row 1: 16777218: whole numbers of f4 are exact up to 16777216: save the labels as integers/,
    ],
    ['objects.npy', 'BAD_INPUT', /dtype '\|O', a pickle, which could run code: save them as labels\.astype\(str\)/],
    ['none.npy', 'BAD_INPUT', /none\.npy: row 1: has no label/],
    ['record.npy', 'BAD_INPUT', /dtype of records/],
    ['time.npy', 'BAD_INPUT', /dtype '<M8\[D\]', expected a number type/],
    ['several.npz', 'BAD_INPUT', /has no array 'labels' or of another usual name, found: 'a' \(1\) <i8, 'b' \(1\) <U1/],
    ['latin.npy', 'BAD_INPUT', /latin\.npy: row 0: is no text: UTF-8 expected/],
  ];
  for (const [name, code, message] of refused) {
    await assert.rejects(readLabels(join(folder, name)), { code, message }, name);
  }
});
