/** Whatever the bytes, a reader gives an answer or a NaanError, soon and within bounded memory. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { NaanError } from '../../src/errors.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { readKnn } from '../../src/io/knn.js';
import { readLabels } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { readModel, writeModel } from '../../src/model/model-file.js';
import { python, temporaryFolder, without } from './python.js';

const fixtures = resolve('test/fixtures');

async function readFeatures(path: string): Promise<void> {
  const location = await locateFeatures(path);
  const reader = openRows(location);
  try {
    const count = Math.min(reader.rowCount, Math.floor(2 ** 20 / reader.dim));
    reader.read(reader.rowCount - count, count, new Float32Array(count * reader.dim));
  } finally {
    reader.close();
  }
}

const readers: Record<string, (path: string) => Promise<unknown>> = {
  features: readFeatures,
  knn: readKnn,
  labels: readLabels,
  integers: (path) => readInt32Array(path, 'knn'),
  floats: (path) => readFloat32Array(path, 'embs'),
  model: readModel,
  checkpoint: importCheckpoint,
};

/** Bytes changed, cut off, removed or put in, some of them where the structure is: at the start and the end. */
function mutations(valid: Buffer): fc.Arbitrary<Buffer> {
  const place = fc.oneof(
    fc.nat(Math.min(valid.length, 400) - 1),
    fc.nat(Math.min(valid.length, 400) - 1).map((fromEnd) => valid.length - 1 - fromEnd),
    fc.nat(valid.length - 1),
  );
  const mutation = fc.oneof(
    fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(([at, bytes]) => (file: Buffer) => {
      const changed = Buffer.from(file);
      changed.set(bytes.subarray(0, Math.max(0, changed.length - at)), Math.min(at, changed.length));
      return changed;
    }),
    fc.tuple(place, fc.constantFrom(0, 0x7f, 0x80, 0xff), fc.constantFrom(1, 2, 4, 8)).map(([at, byte, count]) => {
      return (file: Buffer) =>
        Buffer.from(file).fill(byte, Math.min(at, file.length), Math.min(at + count, file.length));
    }),
    place.map((at) => (file: Buffer) => file.subarray(0, at)),
    fc.tuple(place, fc.nat(64)).map(([at, count]) => (file: Buffer) => {
      return Buffer.concat([file.subarray(0, at), file.subarray(at + count)]);
    }),
    fc.tuple(place, fc.uint8Array({ maxLength: 64 })).map(([at, bytes]) => (file: Buffer) => {
      return Buffer.concat([file.subarray(0, at), bytes, file.subarray(at)]);
    }),
  );
  return fc
    .array(mutation, { minLength: 1, maxLength: 3 })
    .map((steps) => steps.reduce((file, mutate) => mutate(file), valid));
}

async function survives(path: string, bytes: Uint8Array, names: readonly string[]): Promise<void> {
  writeFileSync(path, bytes);
  for (const name of names) {
    try {
      await readers[name](path);
    } catch (error) {
      assert.ok(error instanceof NaanError, `${name}: ${error instanceof Error ? error.stack : String(error)}`);
      assert.doesNotMatch(error.message, /\n/);
    }
  }
}

async function fuzz(t: TestContext, valid: Buffer, names: readonly string[], numRuns: number): Promise<void> {
  const path = join(temporaryFolder(t), 'file');
  const property = fc.asyncProperty(mutations(valid), (bytes) => survives(path, bytes, names));
  await fc.assert(property, { numRuns, endOnFailure: true });
}

test('arbitrary bytes, also after the first bytes of each format', async (t) => {
  const path = join(temporaryFolder(t), 'file');
  const starts = ['', '\x93NUMPY\x01\x00', '\x93NUMPY\x02\x00', 'PK\x03\x04', 'PK\x05\x06', '\x80\x02', '\x80\x04\x95'];
  const bytes = fc
    .tuple(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }))
    .map(([start, rest]) => Buffer.concat([Buffer.from(start, 'latin1'), rest]));
  await fc.assert(
    fc.asyncProperty(bytes, (file) => survives(path, file, Object.keys(readers))),
    { numRuns: 300 },
  );
});

test('damaged features and labels in .npz', async (t) => {
  await fuzz(t, readFileSync(join(fixtures, 'one_head/feats.npz')), ['features', 'labels', 'floats'], 300);
});

test('damaged kNN graphs in .npy', async (t) => {
  await fuzz(t, readFileSync(join(fixtures, 'one_head/knn.npy')).subarray(0, 2000), ['knn', 'integers'], 200);
  await fuzz(t, readFileSync(join(fixtures, 'propagation/scores.npy')), ['floats', 'features', 'labels'], 200);
});

test('damaged deflated archives', { skip: without('numpy') }, async (t) => {
  const path = join(temporaryFolder(t), 'x.npz');
  python(
    `import numpy as np, sys
x = np.arange(600) % 60
np.savez_compressed(sys.argv[1], embs=np.sin(x).astype('f4').reshape(60, 10), labels=x[:60], knn=np.asfortranarray(x.reshape(60, 10)))`,
    path,
  );
  await fuzz(t, readFileSync(path), ['features', 'knn', 'labels'], 400);
});

test('damaged labels in text', async (t) => {
  await fuzz(t, readFileSync(join(fixtures, 'four_heads/labels.txt')), ['labels'], 200);
});

test('damaged checkpoints of both formats', async (t) => {
  await fuzz(t, readFileSync(join(fixtures, 'one_head/zip.ckpt')), ['checkpoint'], 300);
  await fuzz(
    t,
    readFileSync(join(fixtures, 'one_head/legacy_dataparallel.ckpt')).subarray(0, 1700),
    ['checkpoint'],
    500,
  );
});

test('damaged models', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  await writeModel(path, await importCheckpoint(join(fixtures, 'one_head/zip.ckpt')));
  await fuzz(t, readFileSync(path), ['model'], 300);
});

test('an archive that claims to inflate to far more than it can is refused before memory is taken', async (t) => {
  const path = join(temporaryFolder(t), 'bomb.npz');
  const header = Buffer.from(
    `\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (268435456, 512), }`,
    'latin1',
  );
  const member = Buffer.concat([header, Buffer.alloc(128 - header.length, ' ')]);
  const name = Buffer.from('embs.npy');
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(8, 4); // deflated
  fields.writeUInt32LE(member.length, 14);
  fields.writeUInt32LE(0xfffffff0, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, name, member]);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), fields, Buffer.alloc(14), name]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  writeFileSync(path, Buffer.concat([local, central, end]));
  await assert.rejects(locateFeatures(path), { code: 'BAD_INPUT', message: /cannot inflate to 4294967280/ });
});

const python2 = Buffer.from([0x80, 2]);

test('a pickle of nothing but marks, or that never stops, ends soon', async (t) => {
  const path = join(temporaryFolder(t), 'x.ckpt');
  for (const filling of ['(', '}', 'N', ')', '\x85']) {
    writeFileSync(path, Buffer.concat([python2, Buffer.from('N'), Buffer.alloc(2 ** 23, filling, 'latin1')]));
    await assert.rejects(importCheckpoint(path), { code: 'BAD_INPUT', message: /4000000 steps of work and goes on/ });
  }
});

/** BININT with this value. */
function pickledInteger(value: number): Buffer {
  const bytes = Buffer.from('J....');
  bytes.writeInt32LE(value, 1);
  return bytes;
}

test('a pickle that copies one container again and again is stopped before it has taken memory or minutes', async (t) => {
  const path = join(temporaryFolder(t), 'x.ckpt');
  const count = 10_000;
  const numbers = Buffer.concat(Array.from({ length: count }, (_, i) => pickledInteger(i)));
  const pairs = Buffer.concat(
    Array.from({ length: count }, (_, i) => Buffer.concat([pickledInteger(i), code('\x85')])),
  );
  const items = Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.concat([pickledInteger(i), code('N')])));
  const copies: Record<string, Buffer> = {
    dict: Buffer.concat([code('ccollections\nOrderedDict\nq\x01]('), pairs, code('e\x85q\x02')]),
    set: Buffer.concat([code('c__builtin__\nset\nq\x01]('), numbers, code('e\x85q\x02')]),
    attributes: Buffer.concat([code('cargparse\nNamespace\n)Rq\x01}('), items, code('uq\x02')]),
  };
  const again: Record<string, string> = { dict: 'h\x01h\x02R', set: 'h\x01h\x02R', attributes: 'h\x01h\x02b' };
  for (const [name, start] of Object.entries(copies)) {
    const repeated = Buffer.alloc(again[name].length * 100_000, again[name], 'latin1');
    writeFileSync(path, Buffer.concat([python2, start, repeated, code('.')]));
    await assert.rejects(importCheckpoint(path), { code: 'BAD_INPUT', message: /4000000 steps of work/ }, name);
  }
});

function code(opcodes: string): Buffer {
  return Buffer.from(opcodes, 'latin1');
}
