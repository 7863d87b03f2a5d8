import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestFile } from '../../src/io/digest.js';
import { findFeatures, locateFeatures } from '../../src/io/features.js';
import { itemsBeside, openItems, readItems } from '../../src/io/items.js';
import { readLabelsBeside } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { writeNpy, writeNpz } from '../../src/io/npy-writer.js';
import { checkOutputs } from '../../src/io/outputs.js';
import { temporaryFolder } from './python.js';

const dim = 3;
const rowsOf = (start: number, count: number) => Float32Array.from({ length: count * dim }, (_, i) => start * dim + i);

test('files of a pattern are one set: in the order of their numbers, of any form, with the names beside them', async (t) => {
  const folder = temporaryFolder(t);
  const line = (i: number) => `${JSON.stringify({ path: `人 ${i}`, embedding: [...rowsOf(i, 1)] })}\n`;
  for (const [part, start, count] of [
    [1, 0, 4],
    [2, 4, 1],
    [10, 5, 3],
  ]) {
    const lines = Array.from({ length: count }, (_, i) => line(start + i));
    writeFileSync(join(folder, `table-${part}.jsonl`), lines.join(''));
    const rows = rowsOf(start, count);
    if (part === 2) await writeNpy(join(folder, `part-${part}.x`), 'f4', [count, dim], rows);
    else await writeNpz(join(folder, `part-${part}.x`), (add) => add('embs', 'f4', [count, dim], rows));
  }
  writeFileSync(join(folder, '.part-0.x'), 'hidden');
  const read = async (pattern: string) => {
    const reader = openRows(await locateFeatures(join(folder, pattern)));
    const out = new Float32Array(reader.rowCount * dim);
    reader.read(0, reader.rowCount, out);
    return [...out];
  };
  const all = [...rowsOf(0, 8)];
  assert.deepEqual(await read('part-*.x'), all);
  assert.deepEqual(await read('table-*.jsonl:embedding'), all);
  assert.deepEqual(await read('table-?.jsonl'), all.slice(0, 15));
  const names = await readItems((await itemsBeside(join(folder, 'table-*.jsonl'), 'features'))!);
  assert.deepEqual(
    Array.from({ length: names.length }, (_, i) => names.at(i)),
    Array.from({ length: 8 }, (_, i) => `人 ${i}`),
  );
  assert.equal(await (await openItems(join(folder, 'table-*.jsonl'))).count(), 8);
  assert.equal(await itemsBeside(join(folder, 'part-*.x'), 'features'), undefined);
  const before = await digestFile(join(folder, 'part-*.x'));
  await writeNpy(join(folder, 'part-2.x'), 'f4', [1, dim], rowsOf(9, 1));
  assert.notEqual((await digestFile(join(folder, 'part-*.x'))).sampledSha256, before.sampledSha256);
  const output = { name: 'out', path: join(folder, 'part-10.x'), isOurs: () => true, otherwise: '' };
  await assert.rejects(
    checkOutputs([output], { features: join(folder, 'part-*.x') }, true),
    /part-10\.x: --out would replace the features/,
  );
  await writeNpy(join(folder, 'part-3.x'), 'f4', [1, dim + 1], rowsOf(0, 2).subarray(0, dim + 1));
  await assert.rejects(findFeatures(join(folder, 'part-*.x')), /part-3\.x: dimension 4, expected 3 as .*part-1\.x/);
  await assert.rejects(findFeatures(join(folder, 'nothing-*.npy')), /nothing-\*\.npy: no file has such a name/);
});

test("identities of learn-to-cluster's features are in labels/NAME.meta", async (t) => {
  const folder = temporaryFolder(t);
  for (const name of ['features', 'labels']) mkdirSync(join(folder, name));
  const path = join(folder, 'features/part0_train.bin');
  writeFileSync(path, Buffer.from(rowsOf(0, 4).buffer));
  assert.equal(await readLabelsBeside(path), undefined);
  writeFileSync(join(folder, 'labels/part0_train.meta'), '5\n5\n7\n5\n');
  assert.deepEqual([...(await readLabelsBeside(path))!.codes], [5, 5, 7, 5]);
});
