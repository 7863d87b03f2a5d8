import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { findFeatures, locateFeatures } from '../../src/io/features.js';
import { readLabelsBeside } from '../../src/io/labels.js';
import { inflate } from '../../src/io/locate-matrix.js';
import { type MatrixLocation, openRows, shapeOf } from '../../src/io/matrix.js';
import { python, temporaryFolder, without } from './python.js';

const skip = without('numpy');

function readAll(location: MatrixLocation): Float32Array {
  const reader = openRows(location);
  const out = new Float32Array(reader.rowCount * reader.dim);
  // Tiles of 7 rows: none of the sizes below is a multiple.
  for (let start = 0; start < reader.rowCount; start += 7) {
    const count = Math.min(7, reader.rowCount - start);
    reader.read(start, count, out.subarray(start * reader.dim));
  }
  reader.close();
  return out;
}

function floats(path: string): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer);
}

test('features of every type, byte order, array order and container read as NumPy reads them', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const cases = python(
    `import numpy as np, sys, os
folder = sys.argv[1]
rng = np.random.default_rng(1)
for dtype in ['<f2', '>f2', '<f4', '>f4', '<f8', '>f8']:
  for order in 'CF':
    for save in ['npy', 'npz', 'deflated']:
      x = np.array(rng.standard_normal((53, 9)), dtype=dtype, order=order)
      name = f"{dtype.replace('<', 'le').replace('>', 'be')}_{order}_{save}"
      if save == 'npy': np.save(f'{folder}/{name}.npy', x)
      if save == 'npz': np.savez(f'{folder}/{name}.npz', other=x[:3], embs=x, labels=np.arange(53) - 1)
      if save == 'deflated': np.savez_compressed(f'{folder}/{name}.npz', embs=x, labels=np.arange(53, dtype='>u2'))
      np.ascontiguousarray(x, dtype='<f4').tofile(f'{folder}/{name}.expected')
      print(name + ('.npy' if save == 'npy' else '.npz'))`,
    folder,
  );
  const names = cases.trim().split('\n');
  assert.equal(names.length, 36);
  for (const name of names) {
    const location = await locateFeatures(join(folder, name), { dim: 9 });
    const labels = await readLabelsBeside(join(folder, name));
    assert.equal(location.kind, name.includes('deflated') ? 'memory' : 'file', name);
    assert.deepEqual(readAll(location), floats(join(folder, name.replace(/npy$|npz$/, 'expected'))), name);
    const firstLabel = name.includes('deflated') ? 0 : -1;
    const expected = name.endsWith('npy') ? undefined : Int32Array.from({ length: 53 }, (_, i) => i + firstLabel);
    assert.deepEqual(labels?.codes, expected, name);
  }
});

test('deflated features are inflated only where memory has room for them', { skip }, async (t) => {
  const path = join(temporaryFolder(t), 'x.npz');
  python(
    `import numpy as np, sys
np.savez_compressed(sys.argv[1], embs=np.arange(60, dtype='f4').reshape(20, 3))`,
    path,
  );
  const found = await findFeatures(path);
  assert.deepEqual([found.kind, shapeOf(found)], ['deflated', found]);
  assert.deepEqual([...readAll(await inflate(found, 240))], [...Array(60).keys()]);
  const message =
    /x\.npz:embs: is compressed.* into 0\.00 GiB of memory, but 0\.00 GiB may be taken: store them uncompr/;
  await assert.rejects(inflate(found, 239), { code: 'OUT_OF_MEMORY', message });
});

test('every float16 code reads as the float32 of the same value', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys
x = np.arange(65536, dtype='u2').view('f2').reshape(256, 256)
np.save(sys.argv[1] + '/half.npy', x); x.astype('f4').tofile(sys.argv[1] + '/expected')`,
    folder,
  );
  const location = await locateFeatures(join(folder, 'half.npy'));
  const got = readAll(location);
  const expected = floats(join(folder, 'expected'));
  // Object.is tells −0 from 0; any NaN is as good as another.
  assert.ok(got.every((value, i) => Object.is(value, expected[i])));
});

test('all versions of the .npy format are read', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys
for version in [(1, 0), (2, 0), (3, 0)]:
  with open(f'{sys.argv[1]}/{version[0]}.npy', 'wb') as f:
    np.lib.format.write_array(f, np.arange(6, dtype='f4').reshape(3, 2), version=version)`,
    folder,
  );
  for (const version of [1, 2, 3]) {
    const location = await locateFeatures(join(folder, `${version}.npy`));
    assert.deepEqual([...readAll(location)], [0, 1, 2, 3, 4, 5], `version ${version}`);
  }
});

test('raw float32 needs a dimension that divides the file', async (t) => {
  const path = join(temporaryFolder(t), 'features.bin');
  writeFileSync(path, Float32Array.of(1, 2, 3, 4, 5, 6));
  const location = await locateFeatures(path, { dim: 3 });
  assert.deepEqual([...readAll(location)], [1, 2, 3, 4, 5, 6]);
  await assert.rejects(locateFeatures(path), { code: 'BAD_USAGE', message: /give --dim/ });
  await assert.rejects(locateFeatures(path, { dim: 4 }), {
    code: 'BAD_SHAPE',
    message: /24 bytes, expected rows of 16/,
  });
});

test('rows are read into shared and WebAssembly memory, also on another thread', async (t) => {
  const path = join(temporaryFolder(t), 'features.bin');
  writeFileSync(
    path,
    Float32Array.from({ length: 20 }, (_, i) => i),
  );
  const location = await locateFeatures(path, { dim: 2 });
  const reader = openRows(location);
  const wasm = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  reader.read(3, 2, new Float32Array(wasm.buffer, 16, 4));
  assert.deepEqual([...new Float32Array(wasm.buffer, 12, 6)], [0, 6, 7, 8, 9, 0]);
  reader.close();

  const shared = new Float32Array(new SharedArrayBuffer(16));
  const code = `
    import { workerData } from 'node:worker_threads';
    const { openRows } = await import(workerData.module);
    openRows(workerData.location).read(8, 2, workerData.shared);`;
  const module = new URL('../../src/io/matrix.js', import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { module, location, shared },
  });
  await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  assert.deepEqual([...shared], [16, 17, 18, 19]);
});

test('rows beyond 4 GiB are read from a sparse .npy and from a ZIP64 member', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const rowCount = 2_200_000; // × 512 float32 is 4.2 GiB, almost none of it on disk
  const npy = join(folder, 'large.npy');
  const header = Buffer.from(
    python(
      `import numpy as np, sys, io
f = io.BytesIO()
np.lib.format.write_array_header_1_0(f, {'descr': '<f4', 'fortran_order': False, 'shape': (${rowCount}, 512)})
sys.stdout.write(f.getvalue().hex())`,
    ),
    'hex',
  );
  const last = Float32Array.from({ length: 512 }, (_, i) => i + 1);
  const size = header.length + rowCount * 2048;
  const fd = openSync(npy, 'w');
  writeSync(fd, header);
  ftruncateSync(fd, size);
  writeSync(fd, last, 0, last.byteLength, size - last.byteLength);
  closeSync(fd);

  // The archive Python's zipfile would make, with a hole where the member's bytes would be.
  const npz = join(folder, 'large.npz');
  python(
    `import sys, struct
path, header, size = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
name, big = b'embs.npy', 0xffffffff
extra = struct.pack('<HHQQ', 1, 16, size, size)
with open(path, 'wb') as f:
  f.write(struct.pack('<IHHHHHIIIHH', 0x04034b50, 45, 0, 0, 0, 33, 0, big, big, len(name), len(extra)) + name + extra)
  f.write(header)
  start = f.seek(30 + len(name) + len(extra) + size - 2048)
  f.write(struct.pack('<512f', *range(1, 513)))
  directory = f.tell()
  f.write(struct.pack('<IHHHHHHIIIHHHHHII', 0x02014b50, 45, 45, 0, 0, 0, 33, 0, big, big, len(name), len(extra), 0, 0, 0, 0, 0) + name + extra)
  end = f.tell()
  f.write(struct.pack('<IQHHIIQQQQ', 0x06064b50, 44, 45, 45, 0, 0, 1, 1, end - directory, directory))
  f.write(struct.pack('<IIQI', 0x07064b50, 0, end, 1))
  f.write(struct.pack('<IHHHHIIH', 0x06054b50, 0, 0, 1, 1, end - directory, big, 0))`,
    npz,
    header.toString('hex'),
    String(size),
  );
  for (const path of [npy, npz]) {
    const location = await locateFeatures(path);
    const reader = openRows(location);
    const out = new Float32Array(2 * 512);
    reader.read(rowCount - 2, 2, out);
    reader.close();
    assert.deepEqual(out.subarray(512), last);
    assert.ok(out.subarray(0, 512).every((value) => value === 0));
  }
});

test('ZIP64 fields where no size needs them are understood', { skip }, async (t) => {
  const path = join(temporaryFolder(t), 'forced.npz');
  python(
    `import numpy as np, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
  with z.open('embs.npy', 'w', force_zip64=True) as f:
    np.lib.format.write_array(f, np.arange(6, dtype='f4').reshape(3, 2))`,
    path,
  );
  assert.deepEqual([...readAll(await locateFeatures(path))], [0, 1, 2, 3, 4, 5]);
});

test('what cannot be features is refused with file, found and expected', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
x = np.zeros((4, 3), 'f4')
np.save('ok.npy', x); np.save('cut.npy', x); np.savez('cut.npz', embs=x); np.savez('none.npz', faces=x, labels=[1])
np.save('ints.npy', x.astype('i8')); np.save('cube.npy', x[None]); np.save('empty.npy', x[:0])
np.save('objects.npy', np.array([{}]), allow_pickle=True); np.save('record.npy', np.zeros(2, [('a', 'f4')]))
np.savez('two.npz', X=x, feats=x.astype('f8'), y=['a'])`,
    folder,
  );
  writeFileSync(join(folder, 'text.npy'), 'not an array');
  writeFileSync(join(folder, 'nothing.npz'), '');
  truncateSync(join(folder, 'cut.npy'), 128 + 47);
  truncateSync(join(folder, 'cut.npz'), 150);
  const refused: [name: string, code: string, message: RegExp][] = [
    ['missing.npy', 'BAD_INPUT', /missing\.npy: cannot be read: no such file or directory/],
    ['', 'BAD_INPUT', /is not a plain file/],
    ['cut.npy', 'BAD_INPUT', /175 bytes, expected 176 for shape \(4,3\): it is truncated/],
    ['cut.npz', 'BAD_INPUT', /is not a whole ZIP archive/],
    [
      'none.npz',
      'BAD_INPUT',
      /has no array 'embs' or of another usual name, found: 'faces' \(4,3\) <f4, 'labels' \(1\) <i8: name one as .*none\.npz:NAME/,
    ],
    ['two.npz', 'BAD_INPUT', /'feats' and 'X' could be meant, found: 'X' \(4,3\) <f4, 'feats' \(4,3\) <f8, 'y'/],
    ['two.npz:Y', 'BAD_INPUT', /has no array 'Y', found: 'X'/],
    ['two.npz:y', 'BAD_INPUT', /two\.npz:y: dtype '<U1', expected a number type/],
    ['ints.npy', 'BAD_INPUT', /dtype i8, expected features of f2, f4 or f8/],
    ['cube.npy', 'BAD_SHAPE', /shape \(1,4,3\), expected features \[n × d\]/],
    ['empty.npy', 'BAD_SHAPE', /shape \(0,3\)/],
    ['objects.npy', 'BAD_INPUT', /dtype '\|O'/],
    ['record.npy', 'BAD_INPUT', /dtype of records/],
    ['text.npy', 'BAD_INPUT', /is text, expected features: it has no columns of numbers/],
    ['nothing.npz', 'BAD_INPUT', /is empty/],
  ];
  for (const [name, code, message] of refused) {
    await assert.rejects(locateFeatures(join(folder, name)), { name: 'NaanError', code, message }, name);
  }
  await assert.rejects(locateFeatures(join(folder, 'ok.npy'), { dim: 5 }), { message: /dimension 3, expected 5/ });
});

test('a file that shrinks after it was found is noticed when its rows are read', async (t) => {
  const path = join(temporaryFolder(t), 'features.bin');
  writeFileSync(path, new Float32Array(12));
  const location = await locateFeatures(path, { dim: 3 });
  truncateSync(path, 40);
  const reader = openRows(location);
  assert.throws(() => reader.read(2, 2, new Float32Array(6)), { code: 'BAD_INPUT', message: /ends at byte 40/ });
  reader.close();
});
