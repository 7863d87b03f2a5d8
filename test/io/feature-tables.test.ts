import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  columnFromArray,
  dictionary,
  fixedSizeList,
  float16,
  float32,
  float64,
  int64,
  largeList,
  list,
  tableFromColumns,
  tableToIPC,
  utf8,
} from '@uwdata/flechette';
import { parquetWriteFile } from 'hyparquet-writer';
import { findFeatures } from '../../src/io/features.js';
import { itemsBeside, openItems, readItems } from '../../src/io/items.js';
import { readLabels } from '../../src/io/labels.js';
import { inflate } from '../../src/io/locate-matrix.js';
import { openRows, shapeOf } from '../../src/io/matrix.js';
import { askTable, tableProcess } from '../../src/io/table-process.js';
import { python, temporaryFolder, without } from './python.js';

const names = Array.from({ length: 10 }, (_, i) => `é, "${i}".jpg`);
const vectors = names.map((_, i) => [i, i + 0.5, -(i + 1) / 4]);

async function rowsIn(file: string): Promise<number[][]> {
  const location = await inflate(await findFeatures(file));
  const { rowCount, dim } = shapeOf(location);
  const reader = openRows(location);
  const out = new Float32Array(rowCount * dim);
  reader.read(0, rowCount, out);
  reader.close();
  return Array.from({ length: rowCount }, (_, row) => [...out.subarray(row * dim, (row + 1) * dim)]);
}

async function namesBeside(file: string): Promise<string[]> {
  const list = await readItems((await itemsBeside(file, 'features'))!);
  return Array.from({ length: list.length }, (_, i) => list.at(i));
}

/** As pandas writes a column of lists: a group of a repeated group of an element. */
function listColumn(name: string) {
  return [
    { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
  ] as const;
}

function writeParquet(filename: string, codec: 'SNAPPY' | 'UNCOMPRESSED', data: number[][] = vectors): void {
  parquetWriteFile({
    filename,
    codec,
    schema: [
      { name: 'root', num_children: 4 },
      { name: 'path', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL', converted_type: 'UTF8' },
      ...listColumn('embedding'),
      { name: 'label', type: 'INT32', repetition_type: 'REQUIRED' },
      { name: 'quality', type: 'DOUBLE', repetition_type: 'REQUIRED' },
    ],
    columnData: [
      { name: 'path', data: names },
      { name: 'embedding', data },
      { name: 'label', data: names.map((_, i) => i % 3) },
      { name: 'quality', data: names.map((_, i) => i / 8) },
    ],
    rowGroupSize: 4,
  });
}

test('Parquet: lists or a column for each value, names and labels beside them', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'lists.parquet');
  for (const codec of ['SNAPPY', 'UNCOMPRESSED'] as const) {
    writeParquet(path, codec);
    assert.deepEqual(await rowsIn(path), vectors);
    assert.deepEqual(await rowsIn(`${path}:embedding`), vectors);
    assert.deepEqual(await namesBeside(path), names);
    assert.deepEqual(
      [...(await readLabels(path)).codes],
      names.map((_, i) => i % 3),
    );
    assert.equal(await (await openItems(`${path}:label`)).count(), 10);
  }
  const wide = join(folder, 'wide.bin');
  const columnData = [0, 1, 2].map((c) => ({ name: `f${c}`, data: vectors.map((v) => v[c]), type: 'DOUBLE' as const }));
  parquetWriteFile({ filename: wide, columnData: [{ name: 'id', data: names, type: 'STRING' }, ...columnData] });
  assert.deepEqual(await rowsIn(wide), vectors);
  assert.deepEqual(await namesBeside(wide), names);

  const bytes = readFileSync(path);
  for (const end of [5, 100, bytes.length - 9]) {
    writeFileSync(path, bytes.subarray(0, end));
    await assert.rejects(rowsIn(path), { code: 'BAD_INPUT', message: /lists\.parquet: is no whole Parquet file/ });
  }
  writeParquet(
    path,
    'SNAPPY',
    vectors.map((v, i) => (i === 6 ? v.slice(1) : v)),
  );
  await assert.rejects(rowsIn(path), {
    code: 'BAD_INPUT',
    message: /row 6: 2 values, expected 3 as the first row has/,
  });
  await assert.rejects(rowsIn(`${path}:nothing`), {
    code: 'BAD_INPUT',
    message: /no column 'nothing' of lists of numbers, found: 'path'/,
  });
});

test('CSV and JSON Lines as Python writes them', { skip: without('numpy') }, async (t) => {
  const folder = temporaryFolder(t);
  const script = `
import csv, json, sys
folder, (names, vectors) = sys.argv[1], json.loads(sys.argv[2])
def table(name, rows, **how): csv.writer(open(f'{folder}/{name}', 'w', newline=''), **how).writerows(rows)
table('list.csv', [['path', 'embedding'], *([n, json.dumps(v)] for n, v in zip(names, vectors))])
table('blanks.csv', [['vector', 'item'], *([' '.join(map(str, v)), n] for n, v in zip(names, vectors))])
table('wide.csv', [['path', 'label', 'a', 'b', 'c'], *([n, 7, *v] for n, v in zip(names, vectors))])
table('tabs.csv', [['a', 'b', 'c', 'path'], *([*v, n] for n, v in zip(names, vectors))], delimiter='\\t')
table('plain.csv', vectors)
open(f'{folder}/rows.jsonl', 'w').writelines(json.dumps({'path': n, 'embedding': v}) + '\\n' for n, v in zip(names, vectors))
`;
  python(script, folder, JSON.stringify([names, vectors]));
  for (const file of [
    'list.csv',
    'blanks.csv',
    'wide.csv',
    'tabs.csv',
    'plain.csv',
    'rows.jsonl',
    'rows.jsonl:embedding',
  ]) {
    assert.deepEqual(await rowsIn(join(folder, file)), vectors, file);
    if (file !== 'plain.csv') assert.deepEqual(await namesBeside(join(folder, file.split(':')[0])), names, file);
  }
});

test('a table that is no features is refused with file and line', async (t) => {
  const path = join(temporaryFolder(t), 'x.csv');
  const cases: [text: string, message: RegExp, column?: string][] = [
    [
      'path,label\na,1\nb,2\n',
      /is text, expected features: it has no columns of numbers, nor a list of them, found the columns: 'path'/,
    ],
    ['a,b\n1,2\n3\n', /x\.csv: line 3: 0 values, expected 2 as the first row has/],
    ['a,b\n1,2\n3,x\n', /x\.csv: line 3: value 1 is 'x', expected a number/],
    ['a,b\n1,2\n3,\n', /x\.csv: line 3: value 1 is '', expected a number/],
    ['a,embs\n1,"[1, 2]"\n3,"[1, 2, 3]"\n', /x\.csv: line 3: 3 values, expected 2/],
    ['a,embs\n1,"[1, 2]"\n', /it has no column 'z' of lists/, ':z'],
    ['{"x": [1, 2]}\n{"x": 3}\n', /x\.csv: line 2: (no|undefined) values/],
    ['{"x": [1, 2]}\n{"x": [1, null]}\n', /x\.csv: line 2: value 1 is 'null', expected a number/],
    ['{"x": [1, 2]}\nno\n', /x\.csv: line 2: is no JSON object/],
    ['{"z": 1}\n', /line 1 has no list of numbers of a usual name, found: 'z'/],
  ];
  for (const [text, message, column = ''] of cases) {
    writeFileSync(path, text);
    await assert.rejects(rowsIn(path + column), { code: 'BAD_INPUT', message }, text);
  }
});

test('a Parquet file over which its process ends is refused in one line, and the next file is read', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'whole.parquet');
  writeParquet(path, 'SNAPPY');
  assert.deepEqual(await rowsIn(path), vectors);
  // The process is stopped, so that it ends with the question unanswered; it holds this process open once it was asked.
  const pid = await tableProcess();
  process.kill(pid, 'SIGSTOP');
  const refused = assert.rejects(rowsIn(path), {
    code: 'BAD_INPUT',
    message: /whole\.parquet: .*the process that decodes it ended \(SIGKILL\)/,
  });
  while (!process.getActiveResourcesInfo().includes('ProcessWrap')) await setImmediate();
  process.kill(pid, 'SIGKILL');
  await refused;
  assert.deepEqual(await rowsIn(path), vectors);
});

test('a process that has ended before it is asked says how it ended, not that it could not be asked', async (t) => {
  const path = join(temporaryFolder(t), 'whole.parquet');
  writeParquet(path, 'SNAPPY');
  const pid = await tableProcess();
  process.kill(pid, 'SIGKILL');
  // All of its threads have ended, and this process has not been told so yet.
  while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) || readdirSync(`/proc/${pid}/task`).length > 1);
  await assert.rejects(askTable({ kind: 'facts', form: 'parquet', path }), {
    message: 'the process that decodes it ended (SIGKILL)',
  });
  assert.equal((await askTable({ kind: 'facts', form: 'parquet', path })).rowCount, vectors.length);
});

test('damaged Parquet files of any kind are an answer or one line', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'x.parquet');
  writeParquet(path, 'UNCOMPRESSED');
  const whole = readFileSync(path);
  for (let at = 4; at < whole.length; at += 7) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 255;
    damaged[(at * 31) % whole.length] = at & 255;
    writeFileSync(path, damaged);
    await rowsIn(path).catch((error) => {
      assert.ok(['BAD_INPUT', 'BAD_SHAPE', 'OUT_OF_MEMORY'].includes(error.code), `byte ${at}: ${error.stack}`);
      assert.ok(error.message.startsWith(path) && !error.message.includes('\n'), error.message);
    });
  }
});

test('lists in the metadata of Arrow that have no bytes are refused before anything is made of them', async (t) => {
  const path = join(temporaryFolder(t), 'x.arrow');
  const whole = Buffer.from(tableToIPC(arrowTable(list(float32())), { format: 'stream' })!);
  let refused = 0;
  for (let at = 8; at + 4 <= whole.length; at += 4) {
    // A list is its length and its elements: one that claims as many as may be.
    const length = whole.readInt32LE(at);
    if (length < 2 || length > 64) continue;
    const damaged = Buffer.from(whole);
    damaged.writeInt32LE(2 ** 31 - 1, at);
    writeFileSync(path, damaged);
    const message = await rowsIn(path).then(
      () => '',
      (error) => error.message as string,
    );
    assert.doesNotMatch(message, /process that decodes it|was not decoded/, `byte ${at}`);
    if (/x\.arrow: is no whole Arrow file: (its metadata|a column) claims .*2147483647/.test(message)) refused++;
  }
  // Columns of the schema; nodes, their lengths, and buffers of the dictionary and of the rows.
  assert.ok(refused >= 8, `${refused}`);
});

test('a batch of Arrow that claims millions of rows is refused, in little memory', async (t) => {
  const path = join(temporaryFolder(t), 'x.arrow');
  const whole = Buffer.from(tableToIPC(arrowTable(list(float32())), { format: 'stream' })!);
  const [rows, claimed] = [vectors.length, 2 ** 27].map((count) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(count));
    return bytes;
  });
  let claims = 0;
  const negative = Buffer.alloc(8, 255);
  for (let at = whole.indexOf(rows); at >= 0; at = whole.indexOf(rows, at + 1)) {
    const damaged = Buffer.from(whole);
    claimed.copy(damaged, at);
    writeFileSync(path, damaged);
    const { rowCount } = await askTable({ kind: 'facts', form: 'arrow', path });
    if (rowCount !== 2 ** 27) continue;
    claims++;
    const columns = ['embedding'];
    const some = await askTable({ kind: 'rows', form: 'arrow', path, columns, group: [0, rowCount], start: 0 });
    assert.ok(some.count <= 2 ** 18, `${some.count}`);
    await assert.rejects(rowsIn(path), {
      code: 'BAD_INPUT',
      message: /x\.arrow: row 10: 0 values, expected 3/,
    });
    negative.copy(damaged, at);
    writeFileSync(path, damaged);
    await assert.rejects(rowsIn(path), {
      code: 'BAD_INPUT',
      message: /x\.arrow: is no whole Arrow file: it claims -1 rows/,
    });
  }
  assert.equal(claims, 1);
});

test('a list of Arrow that ends behind the values of its column is refused', async (t) => {
  const path = join(temporaryFolder(t), 'x.arrow');
  const whole = Buffer.from(tableToIPC(arrowTable(list(float32())), { format: 'stream' })!);
  const ends = Buffer.from(Int32Array.from([3, 6, 9]).buffer);
  whole.writeInt32LE(2 ** 30, whole.indexOf(ends) + 4);
  writeFileSync(path, whole);
  await assert.rejects(rowsIn(path), {
    code: 'BAD_INPUT',
    message: /x\.arrow: .*a list ends at value 1073741824 of 30/,
  });
});

test('a Parquet file whose row groups have other rows than the file claims is refused', async (t) => {
  const path = join(temporaryFolder(t), 'x.parquet');
  writeParquet(path, 'UNCOMPRESSED');
  const whole = readFileSync(path);
  const footer = whole.length - 8 - whole.readUInt32LE(whole.length - 8);
  // Integers of 64 bits in Thrift: the rows of the file, 10, and those of a row group, 4, become one less.
  const told = new Set<string>();
  for (const number of [10, 4]) {
    const field = Buffer.from([0x16, 2 * number]);
    for (let at = whole.indexOf(field, footer); at >= 0; at = whole.indexOf(field, at + 1)) {
      const damaged = Buffer.from(whole);
      damaged[at + 1] = 2 * (number - 1);
      writeFileSync(path, damaged);
      await rowsIn(path).catch((error) => {
        assert.equal(error.code, 'BAD_INPUT', error.stack);
        told.add(/it claims \d+ rows, its parts have \d+/.exec(error.message)?.[0] ?? '');
      });
    }
  }
  for (const message of ['it claims 9 rows, its parts have 10', 'it claims 10 rows, its parts have 9']) {
    assert.ok(told.has(message), [...told].join());
  }
});

type ListType = Parameters<typeof columnFromArray>[1];

function arrowTable(type: ListType, data: unknown[] = vectors) {
  return tableFromColumns({
    path: columnFromArray(names, dictionary(utf8())),
    embedding: columnFromArray(data, type),
    label: columnFromArray(
      names.map((_, i) => BigInt(i % 3)),
      int64(),
    ),
  });
}

test('Arrow: files and streams, with lists of any kind or a column for each value, names and labels beside them', async (t) => {
  const path = join(temporaryFolder(t), 'x.npy');
  for (const type of [
    list(float32()),
    largeList(float64()),
    fixedSizeList(float32(), 3),
    fixedSizeList(float16(), 3),
    list(float16()),
  ]) {
    for (const format of ['file', 'stream'] as const) {
      writeFileSync(path, tableToIPC(arrowTable(type), { format })!);
      assert.deepEqual(await rowsIn(path), vectors);
      assert.deepEqual(await rowsIn(`${path}:embedding`), vectors);
      assert.deepEqual(await namesBeside(path), names);
      const { codes } = await readLabels(path);
      assert.deepEqual(
        [...codes],
        names.map((_, i) => i % 3),
      );
    }
  }
  const columns = [0, 1, 2].map(
    (c) =>
      [
        `f${c}`,
        columnFromArray(
          vectors.map((v) => v[c]),
          float64(),
        ),
      ] as const,
  );
  const wide = tableFromColumns({ id: columnFromArray(names, utf8()), ...Object.fromEntries(columns) });
  writeFileSync(path, tableToIPC(wide, { format: 'file' })!);
  assert.deepEqual(await rowsIn(path), vectors);
  assert.deepEqual(await namesBeside(path), names);
  const uneven = vectors.map((v, i) => (i === 6 ? v.slice(1) : i === 7 ? [null, 1, 2] : v));
  writeFileSync(path, tableToIPC(arrowTable(list(float32()), uneven), { format: 'file' })!);
  await assert.rejects(rowsIn(path), {
    code: 'BAD_INPUT',
    message: /row 6: 2 values, expected 3 as the first row has/,
  });
});

test('Feather as pyarrow compresses it: LZ4 and Zstandard, several record batches', async () => {
  for (const name of ['lz4', 'zstd']) {
    const path = `test/fixtures/arrow/${name}.feather`;
    const rows = await rowsIn(path);
    assert.equal(rows.length, 700);
    for (const [row, values] of rows.entries())
      assert.deepEqual(
        values,
        Array.from({ length: 32 }, (_, c) => ((row * 7 + c * 3) % 16) / 4),
      );
    assert.deepEqual((await namesBeside(path)).slice(698), ['人 698.jpg', '人 699.jpg']);
  }
});

test('damaged Arrow files of any kind are an answer or one line; a file without its end is refused', async (t) => {
  const path = join(temporaryFolder(t), 'x.arrow');
  const check = async (bytes: Uint8Array, what: string) => {
    writeFileSync(path, bytes);
    await rowsIn(path).catch((error) => {
      assert.ok(
        ['BAD_INPUT', 'BAD_SHAPE', 'OUT_OF_MEMORY', 'BAD_USAGE'].includes(error.code),
        `${what}: ${error.stack}`,
      );
      assert.ok(error.message.startsWith(path) && !error.message.includes('\n'), error.message);
    });
  };
  const whole = [
    Buffer.from(tableToIPC(arrowTable(list(float32())), { format: 'file' })!),
    Buffer.from(tableToIPC(arrowTable(fixedSizeList(float32(), 3)), { format: 'stream' })!),
    readFileSync('test/fixtures/arrow/lz4.feather'),
  ];
  for (const [which, bytes] of whole.entries()) {
    const step = Math.ceil(bytes.length / 60);
    for (let at = 8; at < bytes.length; at += step) {
      const damaged = Buffer.from(bytes);
      damaged[at] ^= 255;
      damaged[(at * 31) % bytes.length] = at & 255;
      await check(damaged, `file ${which}, byte ${at}`);
    }
  }
  for (const end of [20, 100, whole[0].length - 1]) {
    writeFileSync(path, whole[0].subarray(0, end));
    await assert.rejects(rowsIn(path), {
      code: 'BAD_INPUT',
      message: /x\.arrow: is no whole Arrow file: its end is missing/,
    });
  }
});
