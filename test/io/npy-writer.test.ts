import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { readFloat32Array, readFloat64Array, readInt32Array } from '../../src/io/arrays.js';
import { locateFeatures } from '../../src/io/features.js';
import { openRows } from '../../src/io/matrix.js';
import { type NpyType, writeNpy, writeNpz } from '../../src/io/npy-writer.js';
import { localHeader, zipDirectory } from '../../src/io/zip-writer.js';
import { python, temporaryFolder, without } from './python.js';

const skip = without('numpy');

test('NumPy loads what is written: every type, 0 to 3 dimensions, appended in parts', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const values = (type: NpyType, length: number) => {
    const numbers = Array.from({ length }, (_, i) => (i - 3) * 1_000_003 + (i === 0 ? -(2 ** 30) : 0));
    return type === 'f4' ? Float32Array.from(numbers, (v) => v / 7) : Int32Array.from(numbers);
  };
  const shapes = [[], [0], [5], [3, 4], [0, 7], [2, 3, 2]];
  const types: NpyType[] = ['f4', 'i4', 'i8'];
  const expected: Record<string, unknown> = {};
  await writeNpz(join(folder, 'all.npz'), async (add) => {
    for (const type of types) {
      for (const shape of shapes) {
        const name = `${type}_${shape.join('x')}`;
        const data = values(
          type,
          shape.reduce((a, b) => a * b, 1),
        );
        expected[name] = { type, shape, data: [...data] };
        await writeNpy(join(folder, `${name}.npy`), type, shape, data);
        await add(name, type, shape, async (append) => {
          for (let i = 0; i < data.length; i += 5) await append(data.subarray(i, i + 5));
        });
      }
    }
  });
  const loaded = python(
    `import numpy as np, sys, json, zipfile
folder = sys.argv[1]
z = np.load(folder + '/all.npz'); assert zipfile.ZipFile(folder + '/all.npz').testzip() is None
out = {}
for name in z.files:
  x = np.load(f'{folder}/{name}.npy'); assert x.dtype == z[name].dtype and x.flags['C_CONTIGUOUS']
  np.testing.assert_array_equal(x, z[name])
  out[name] = dict(type=x.dtype.str[1:], shape=list(x.shape), data=x.astype('f8' if x.dtype.kind == 'f' else 'i8').ravel().tolist())
print(json.dumps(out))`,
    folder,
  );
  assert.deepEqual(JSON.parse(loaded), expected);
});

test('arrays written here read back the same here', async (t) => {
  const path = join(temporaryFolder(t), 'array.npy');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer(), { maxLength: 30 }),
      fc.constantFrom<NpyType>('i4', 'i8'),
      async (list, type) => {
        await writeNpy(path, type, [list.length, 1], Int32Array.from(list));
        assert.deepEqual(await readInt32Array(path), { shape: [list.length, 1], data: Int32Array.from(list) });
      },
    ),
    { numRuns: 50 },
  );
});

test('arrays of any number of dimensions come in C order whatever the order in the file', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
x = np.arange(24).reshape(2, 3, 4)
np.savez('all.npz', i8=np.asfortranarray(x), f2=np.asfortranarray(x.astype('>f2')), f8=np.asfortranarray(x / 3), scalar=np.float64(2.5))`,
    folder,
  );
  const path = join(folder, 'all.npz');
  const order = Array.from({ length: 24 }, (_, i) => i);
  assert.deepEqual(await readInt32Array(path, 'i8'), { shape: [2, 3, 4], data: Int32Array.from(order) });
  assert.deepEqual(await readFloat32Array(path, 'f2'), { shape: [2, 3, 4], data: Float32Array.from(order) });
  assert.deepEqual(await readFloat64Array(path, 'f8'), {
    shape: [2, 3, 4],
    data: Float64Array.from(order, (value) => value / 3),
  });
  assert.deepEqual(await readFloat64Array(path, 'scalar'), { shape: [], data: Float64Array.of(2.5) });
  await assert.rejects(readInt32Array(path, 'f8'), { code: 'BAD_INPUT', message: /f8: dtype f8, expected integers/ });
  await assert.rejects(readFloat32Array(path, 'i8'), { code: 'BAD_INPUT', message: /i8: dtype i8, expected floats/ });
});

test('values on shared memory are written', async (t) => {
  const path = join(temporaryFolder(t), 'shared.npy');
  const shared = new Float32Array(new SharedArrayBuffer(12));
  shared.set([1, 2, 3]);
  await writeNpy(path, 'f4', [3], shared);
  assert.deepEqual([...(await readFloat32Array(path)).data], [1, 2, 3]);
});

test('too few or too many values leave no file', async (t) => {
  const folder = temporaryFolder(t);
  for (const length of [5, 7]) {
    await assert.rejects(writeNpy(join(folder, 'x.npy'), 'f4', [2, 3], new Float32Array(length)), RangeError);
    const npz = writeNpz(join(folder, 'x.npz'), (add) => add('x', 'i8', [6], new Int32Array(length)));
    await assert.rejects(npz, RangeError);
  }
  assert.deepEqual(await readdir(folder), []);
});

test('the same arrays give the same bytes', async (t) => {
  const folder = temporaryFolder(t);
  const paths = ['a.npz', 'b.npz'].map((name) => join(folder, name));
  for (const path of paths) await writeNpz(path, (add) => add('x', 'f4', [2], Float32Array.of(1, 2)));
  assert.deepEqual(await readFile(paths[0]), await readFile(paths[1]));
});

test('headers of members and offsets beyond 4 GiB are ones that NumPy and this reader understand', {
  skip,
}, async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'large.npz');
  await writeNpy(join(folder, 'ids.npy'), 'i8', [3], Int32Array.of(4, -1, 6));
  await writeNpy(join(folder, 'embs.npy'), 'f4', [0, 512], new Float32Array(0));
  const ids = readFileSync(join(folder, 'ids.npy'));
  const header = readFileSync(join(folder, 'embs.npy'));
  const rowCount = 2_200_000; // × 512 float32 is 4.2 GiB, of which only the last row is more than a hole
  header.write(header.toString('latin1').replace('(0, 512), }      ', `(${rowCount}, 512), }`), 'latin1');

  const embs = { name: 'embs.npy', size: header.length + rowCount * 2048, offset: 0, crc32: 0 };
  const start = localHeader(embs).length;
  const offset = start + embs.size;
  const tail = { name: 'ids.npy', size: ids.length, offset, crc32: crc32(ids) };
  const last = Float32Array.from({ length: 512 }, (_, i) => i + 1);
  const fd = openSync(path, 'w');
  writeSync(fd, Buffer.concat([localHeader(embs), header]), 0, undefined, 0);
  writeSync(fd, Buffer.from(last.buffer), 0, 2048, offset - 2048);
  const rest = Buffer.concat([localHeader(tail), ids]);
  writeSync(fd, rest, 0, undefined, offset);
  writeSync(fd, zipDirectory([embs, tail], offset + rest.length), 0, undefined, offset + rest.length);
  closeSync(fd);

  const seen = python(
    `import numpy as np, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
with z.open('embs.npy') as f:
  np.lib.format.read_magic(f); shape, order, dtype = np.lib.format.read_array_header_1_0(f)
print(shape, order, dtype.str, z.getinfo('embs.npy').file_size, np.load(sys.argv[1])['ids'].tolist())`,
    path,
  );
  assert.equal(seen.trim(), `(${rowCount}, 512) False <f4 ${embs.size} [4, -1, 6]`);
  assert.deepEqual([...(await readInt32Array(path, 'ids')).data], [4, -1, 6]);
  const reader = openRows(await locateFeatures(path));
  const row = new Float32Array(512);
  reader.read(rowCount - 1, 1, row);
  reader.close();
  assert.deepEqual(row, last);
});
