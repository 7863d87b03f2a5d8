/** Sizes that a file claims are bounded before anything is allocated, walked or listed by them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readInt32Array } from '../../src/io/arrays.js';
import { findSource } from '../../src/io/feature-source.js';
import { findFeatures } from '../../src/io/features.js';
import { parseJson } from '../../src/io/json.js';
import { readKnn } from '../../src/io/knn.js';
import { readLabels } from '../../src/io/labels.js';
import { listZip } from '../../src/io/zip.js';
import { requireMemory } from '../../src/memory/available.js';
import { readModel } from '../../src/model/model-file.js';
import { temporaryFolder } from './python.js';

const refused = (code: string, message: RegExp) => ({ name: 'NaanError', code, message });

/** An archive of empty members; `claimed` is how many its end says there are. */
function archive(names: readonly string[], claimed = names.length): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let at = 0;
  for (const name of names) {
    const local = Buffer.alloc(30 + name.length);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.write(name, 30);
    const entry = Buffer.alloc(46 + name.length);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(at, 42);
    entry.write(name, 46);
    locals.push(local);
    entries.push(entry);
    at += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(claimed, 0xffff), 8);
  end.writeUInt16LE(Math.min(claimed, 0xffff), 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  if (claimed <= 0xffff) return Buffer.concat([...locals, directory, end]);
  end.writeUInt32LE(0xffffffff, 16);
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(0x06064b50, 0);
  end64.writeBigUInt64LE(44n, 4);
  end64.writeBigUInt64LE(BigInt(claimed), 24);
  end64.writeBigUInt64LE(BigInt(claimed), 32);
  end64.writeBigUInt64LE(BigInt(directory.length), 40);
  end64.writeBigUInt64LE(BigInt(at), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(at + directory.length), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([...locals, directory, end64, locator, end]);
}

function npy(descr: string, shape: string, data: Buffer | number, padding = 0): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }${' '.repeat(padding)}\n`;
  const start = Buffer.alloc(12);
  start.write('\x93NUMPY\x02\x00', 'latin1');
  start.writeUInt32LE(text.length, 8);
  return Buffer.concat([start, Buffer.from(text), typeof data === 'number' ? Buffer.alloc(data) : data]);
}

test('archives of too many members, or with too long names', async (t) => {
  const path = join(temporaryFolder(t), 'x.npz');
  writeFileSync(path, archive(['a.npy', 'b.npy'], 65_537));
  await assert.rejects(
    listZip(path),
    refused('BAD_INPUT', /x\.npz: an archive of 65537 members, expected at most 65536/),
  );
  writeFileSync(path, archive(Array.from({ length: 260 }, (_, i) => String(i).padEnd(65_000, 'x'))));
  await assert.rejects(
    listZip(path),
    refused('BAD_INPUT', /x\.npz: names of its members take more than 16777216 bytes/),
  );
  writeFileSync(path, archive(Array.from({ length: 3000 }, (_, i) => `${i}.npy`)));
  assert.equal((await listZip(path)).size, 3000);
});

test('headers of .npy: their length, axes, and sizes beside a zero', async (t) => {
  const path = join(temporaryFolder(t), 'x.npy');
  const rejects = async (bytes: Buffer, message: RegExp) => {
    writeFileSync(path, bytes);
    await assert.rejects(readInt32Array(path), refused('BAD_INPUT', message));
  };
  await rejects(npy('<i4', '(1,)', 4, 70_000), /x\.npy: header of 70\d{3} bytes, expected at most 65536/);
  await rejects(npy('<i4', `(${'1, '.repeat(65)})`, 4), /shape of 65 axes, expected at most 64/);
  await rejects(npy('<i4', '(1152921504606846976, 0)', 4), /shape \(1152921504606847000,0\) is too large/);
  writeFileSync(path, npy('<i4', '(7, 0)', 0));
  assert.deepEqual(await readInt32Array(path), { shape: [7, 0], data: new Int32Array(0) });
});

test('lists, rows and labels that are longer than any', async (t) => {
  const path = join(temporaryFolder(t), 'x.npy');
  const long = 2 ** 20 + 1;
  writeFileSync(path, npy('|i1', `(1, ${long})`, long));
  await assert.rejects(readKnn(path), refused('BAD_SHAPE', /lists of 1048577 ids, expected at most 1048576/));
  writeFileSync(path, npy('<f2', '(1, 65537)', 2 * 65_537));
  const wide = /dimension 65537, expected at most 65536/;
  await assert.rejects(findFeatures(path), refused('BAD_SHAPE', wide));
  await assert.rejects(findSource({ rows: new Float32Array(65_537), dim: 65_537 }), refused('BAD_SHAPE', wide));
  writeFileSync(path, npy('|S1000000', '(1,)', 1_000_000));
  await assert.rejects(readLabels(path), refused('BAD_INPUT', /texts of 1000000 bytes, expected at most 262144/));
});

test('JSON that nests without end', async (t) => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  assert.equal(parseJson(deep(100)), undefined);
  assert.deepEqual(parseJson('{"a": "[[[[\\"[", "b": [{"c": []}]}'), { a: '[[[["[', b: [{ c: [] }] });
  const path = join(temporaryFolder(t), 'm.safetensors');
  for (const header of [`{"__metadata__": {"a": ${deep(1_000_000)}}}`, `{"a": ${deep(1_000_000)}}`]) {
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    writeFileSync(path, Buffer.concat([length, Buffer.from(header)]));
    await assert.rejects(
      readModel(path),
      refused('BAD_INPUT', /m\.safetensors: .* is not a JSON object of a few levels/),
    );
  }
});

test('a model that claims layers without end', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  const metadata = {
    head: 'pairwise',
    features: 'structure-16 scores-15',
    k: '20',
    rounds: '5',
    sample_hops: '20',
    hidden: Array(1_000_000).fill(1).join(' '),
    provenance: '{}',
  };
  const tensors = Array.from({ length: 5 }, (_, i) => [`t${i}`, { dtype: 'F32', shape: [0], data_offsets: [0, 0] }]);
  const header = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(tensors) });
  const length = Buffer.alloc(8);
  length.writeUInt32LE(header.length);
  writeFileSync(path, Buffer.concat([length, Buffer.from(header)]));
  await assert.rejects(readModel(path), refused('BAD_MODEL', /5 tensors are too few for 5 rounds/));
});

test('memory that is not there is refused as such', () => {
  assert.throws(
    () => requireMemory(2 ** 50, 'x.npy: shape (1)'),
    refused('OUT_OF_MEMORY', /^x\.npy: shape \(1\): .* GiB/),
  );
});
