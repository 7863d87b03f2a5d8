/** What a file is follows from its bytes, and what is not asked for is not looked at. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readInt32Array } from '../../src/io/arrays.js';
import { digestFile } from '../../src/io/digest.js';
import { locateFeatures } from '../../src/io/features.js';
import { formats } from '../../src/io/formats/formats.js';
import { raw } from '../../src/io/formats/raw.js';
import { itemsBeside, openItems, readItems } from '../../src/io/items.js';
import { openKnnRows, readKnn } from '../../src/io/knn.js';
import { nameOf } from '../../src/io/label-codes.js';
import { readLabels, readLabelsBeside } from '../../src/io/labels.js';
import { openRows } from '../../src/io/matrix.js';
import { python, temporaryFolder, without } from './python.js';

const skip = without('numpy');

async function valuesIn(file: string, dim?: number): Promise<number[]> {
  const reader = openRows(await locateFeatures(file, { dim }));
  const out = new Float32Array(reader.rowCount * reader.dim);
  // By pieces that no size below is a multiple of.
  for (let start = 0; start < reader.rowCount; start += 3) {
    reader.read(start, Math.min(3, reader.rowCount - start), out.subarray(start * reader.dim));
  }
  reader.close();
  return [...out];
}

test('features are found whatever their file and their array are called', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
x = np.arange(20, dtype='f4').reshape(10, 2)
np.save('x.npy', x); os.rename('x.npy', 'x.bin'); np.savez('lone', whatever=x); os.rename('lone.npz', 'lone.npy')
for name in ['embs', 'embeddings', 'features', 'feats', 'X', 'x', 'arr_0']: np.savez(name, other=x[:3], **{name: x})
np.savez('first', feats=x[:4], embs=x); np.savez('two', a=x[:4], b=x); np.savez('colon:name', a=x[:4], b=x)
x.tofile('raw.dat'); x.tofile('raw.npy')
np.hstack([np.full((10, 1), 2, 'i4').view('f4'), x]).tofile('x.fvecs')`,
    folder,
  );
  copyFileSync(at('x.fvecs'), at('vectors'));
  const expected = Array.from({ length: 20 }, (_, i) => i);
  const usual = ['embs', 'embeddings', 'features', 'feats', 'X', 'x', 'arr_0'].map((name) => `${name}.npz`);
  const named = ['two.npz:b', 'first.npz', 'colon:name.npz:b', 'embs.npz:embs'];
  for (const name of ['x.bin', 'lone.npy', 'x.fvecs', 'vectors', ...usual, ...named]) {
    assert.deepEqual(await valuesIn(at(name)), expected, name);
    assert.deepEqual(await valuesIn(at(name), 2), expected, `${name} with the dimension`);
    await assert.rejects(locateFeatures(at(name), { dim: 4 }), { message: /dimension 2, expected 4/ }, name);
  }
  for (const name of ['raw.dat', 'raw.npy']) {
    assert.deepEqual(await valuesIn(at(name), 2), expected, name);
    await assert.rejects(locateFeatures(at(name)), { code: 'BAD_USAGE', message: /no known kind of file.*give --dim/ });
  }
  assert.deepEqual((await digestFile(at('two.npz:b'))).sampledSha256, (await digestFile(at('two.npz'))).sampledSha256);
});

test('a kNN graph is found under the names people give, also those of faiss', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
I = np.array([[0, 1, 2], [1, 2, -1], [2, 1, 3], [0, 3, 2]], 'i8'); D = np.ones((4, 3), 'f4')
np.savez('faiss', I=I, D=D); np.savez('distances', D=D, I=I); np.savez('lone', I); np.savez('named', D, I)
np.save('I', I); np.savez('nbrs', nbrs=I, dists=D); np.savez('cluster', data=np.stack([I, D], 1))
np.hstack([np.full((4, 1), 3), I]).astype('i4').tofile('I.ivecs')
x = np.hstack([np.full((4, 1), 3), I]).astype('i4'); x[2, 0] = 2; x.tofile('ragged.ivecs')`,
    folder,
  );
  const expected = [0, 1, 2, 1, 2, -1, 2, 1, 3, 3, 0, 2];
  const at = (name: string) => join(folder, name);
  copyFileSync(at('I.ivecs'), at('lists'));
  const files = [
    'faiss.npz',
    'distances.npz',
    'lone.npz',
    'named.npz:arr_1',
    'I.npy',
    'nbrs.npz',
    'cluster.npz',
    'I.ivecs',
    'lists',
  ];
  for (const name of files) {
    assert.deepEqual([...(await readKnn(at(name), { nodeCount: 4 })).ids], expected, name);
    const rows = await openKnnRows(at(name), 4);
    assert.deepEqual([...(rows?.row(3) ?? [])], [0, 3, 2], name);
    rows?.close();
  }
  assert.equal((await readKnn(at('I.ivecs'), { columns: 2 })).width, 2);
  const refused: [name: string, message: RegExp][] = [
    ['named.npz', /has no array 'knn' or of another usual name, found: 'arr_0' \(4,3\) <f4, 'arr_1' \(4,3\) <i8/],
    ['faiss.npz:D', /dtype f4, expected a kNN graph of integers/],
    ['ragged.ivecs', /row 2 has 2 values, expected 3 as row 0 has/],
  ];
  for (const [name, message] of refused) await assert.rejects(readKnn(at(name)), { code: 'BAD_INPUT', message }, name);
});

test('members that are not asked for are not looked at', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  python(
    `import numpy as np, sys, os, zipfile, io
os.chdir(sys.argv[1])
x = np.arange(6, dtype='f4').reshape(3, 2)
def npy(a, **more): f = io.BytesIO(); np.lib.format.write_array(f, a, **more); return f.getvalue()
def archive(name, *members):
  with zipfile.ZipFile(name + '.npz', 'w') as z:
    for member, data, method in members: z.writestr(member, data, method)
stored = zipfile.ZIP_STORED; embs = ('embs.npy', npy(x), stored)
archive('bzip2', ('labels.npy', npy(np.arange(3)), zipfile.ZIP_BZIP2), embs)
archive('objects', ('labels.npy', npy(np.array(['a', 1, None], object), allow_pickle=True), stored), embs)
archive('names', ('labels.npy', npy(np.array(['a', 'b', 'a'])), stored), embs)
archive('large', ('labels.npy', npy(np.array([2**40, 1, 2**40])), stored), embs)
archive('header', ('labels.npy', b'no array', stored), ('notes.txt', b'', stored), embs)
archive('traversal', ('../../labels.npy', npy(np.arange(3)), stored), ('/etc/passwd', b'x', stored), embs)
archive('encrypted', ('labels.npy', npy(np.arange(3)), stored), embs)
archive('local', embs, ('labels.npy', npy(np.arange(3)), stored))
archive('coded', ('label\\u00e9.npy', npy(np.arange(3)), stored), embs)
archive('twice', ('embs.npy', npy(x + 1), stored), embs)`,
    folder,
  );
  // Flags of the first member: encrypted, in its own header and in the directory.
  const encrypted = readFileSync(at('encrypted.npz'));
  encrypted[6] |= 1;
  encrypted[encrypted.indexOf('PK\x01\x02', 0, 'latin1') + 8] |= 1;
  writeFileSync(at('encrypted.npz'), encrypted);
  const local = readFileSync(at('local.npz'));
  const second = local.indexOf('PK\x03\x04', 4, 'latin1');
  writeFileSync(at('local.npz'), local.fill(0, second, second + 4));
  // A name that is no UTF-8 although its flag says so.
  const coded = readFileSync(at('coded.npz'));
  for (let place = coded.indexOf(0xc3); place >= 0; place = coded.indexOf(0xc3, place + 1)) coded[place] = 0xff;
  writeFileSync(at('coded.npz'), coded);

  const archives = [
    'bzip2',
    'objects',
    'names',
    'large',
    'header',
    'traversal',
    'encrypted',
    'local',
    'coded',
    'twice',
  ];
  for (const name of archives) assert.deepEqual(await valuesIn(at(`${name}.npz`)), [0, 1, 2, 3, 4, 5], name);

  const refused: [name: string, message: RegExp][] = [
    ['bzip2', /bzip2\.npz:labels\.npy: compression method 12, expected stored \(0\) or deflated \(8\)/],
    ['objects', /objects\.npz:labels: dtype '\|O', a pickle/],
    ['header', /header\.npz:labels: does not start like a \.npy file/],
    ['encrypted', /labels\.npy: is encrypted, expected a plain member/],
    ['local', /labels\.npy: does not start where the directory says: the archive is damaged/],
    ['traversal', /could be meant|has no array 'labels'/],
  ];
  for (const [name, message] of refused) {
    await assert.rejects(readLabels(at(`${name}.npz`)), { code: 'BAD_INPUT', message }, name);
  }
  const names = await readLabelsBeside(at('names.npz'));
  assert.deepEqual(names && Array.from(names.codes, (code) => nameOf(names, code)), ['a', 'b', 'a']);
  assert.deepEqual((await readLabels(at('large.npz'))).names, ['1099511627776', '1']);
  assert.equal(await readLabelsBeside(at('traversal.npz')), undefined);
});

test('a file given by mistake is called what it is', async (t) => {
  const path = join(temporaryFolder(t), 'x.npy');
  const cases: [bytes: string, message: RegExp][] = [
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /is a Git LFS pointer.*git lfs pull/],
    ['<!DOCTYPE html>\n<html></html>', /is an HTML page/],
    ['\n<html>', /is an HTML page/],
    ['\x1f\x8b\x08\x00', /is a gzip file.*unpack it first/],
    ['BZh91AY&SY', /is a bzip2 file/],
    ['\x89HDF\r\n\x1a\n', /is an HDF5 file.*numpy\.save\('FILE\.npy', h5py\.File\(FILE\)\['NAME'\]\[:\]\)/],
    ['MATLAB 5.0 MAT-file, Platform', /is a MATLAB file, .*scipy\.io\.loadmat/],
    ['MATLAB 7.3 MAT-file, Platform', /is a MATLAB file of version 7\.3.*h5py/],
    [`PK\x03\x04${'\0'.repeat(26)}archive/data.pklFB`, /is a PyTorch file.*torch\.load\(FILE, weights_only=True\)/],
    ['FEA1\0\0\0\0', /is a Feather file of version 1.*write_feather/],
    ['PAR1\x15\x04', /is (no whole|a) Parquet file/],
    ['ARROW1\0\0', /is (no whole|an) Arrow file/],
    ['\x80\x04\x95\x00', /is a pickle, which could run any code/],
  ];
  for (const [bytes, message] of cases) {
    writeFileSync(path, Buffer.from(bytes, 'latin1'));
    for (const read of [(file: string) => locateFeatures(file, { dim: 1 }), readKnn, readLabels]) {
      await assert.rejects(read(path), { code: 'BAD_INPUT', message }, bytes);
    }
  }
  writeFileSync(path, 'anna\nbob\n');
  await assert.rejects(locateFeatures(path, { dim: 1 }), { code: 'BAD_INPUT', message: /is text, expected features/ });
  writeFileSync(path, Float32Array.of(0.1, 0.2, 0.3));
  await assert.rejects(readLabels(path), {
    code: 'BAD_INPUT',
    message: /no known kind of file, nor UTF-8 text, expected/,
  });
  await assert.rejects(readKnn(path), { code: 'BAD_INPUT', message: /expected a kNN graph: an \.npy array/ });
});

test('tensors of a safetensors file are arrays; those of other elements stop nobody', async (t) => {
  const path = join(temporaryFolder(t), 'x.bin');
  const data = Buffer.from(Uint16Array.of(0x3f80, 0xc000, 0x4040, 0x0000, 7, 8, 9, 10).buffer);
  const header = JSON.stringify({
    other: { dtype: 'F8_E4M3', shape: [2, 2], data_offsets: [8, 12] },
    embs: { dtype: 'BF16', shape: [2, 2], data_offsets: [0, 8] },
    labels: { dtype: 'I16', shape: [2], data_offsets: [12, 16] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, Buffer.from(header), data]));
  assert.deepEqual(await valuesIn(path), [1, -2, 3, 0]);
  assert.deepEqual(await readLabelsBeside(path), { codes: Int32Array.of(9, 10) });
  const message = /has no array 'knn' .*found: 'embs' \(2,2\) BF16, 'other' \(2,2\) F8_E4M3, 'labels' \(2\) I16/;
  await assert.rejects(readKnn(path), { code: 'BAD_INPUT', message });
  await assert.rejects(readKnn(`${path}:other`), { code: 'BAD_INPUT', message: /dtype 'F8_E4M3', expected a number/ });
});

test('.fvecs that are not whole, or whose rows differ, are refused', async (t) => {
  const path = join(temporaryFolder(t), 'x.fvecs');
  const rows = Buffer.alloc(40 * 12);
  for (let row = 0; row < 40; row++) rows.writeInt32LE(2, row * 12);
  writeFileSync(path, rows.subarray(0, 100));
  await assert.rejects(locateFeatures(path), {
    code: 'BAD_INPUT',
    message: /100 bytes, the first dimension 2, expected/,
  });
  rows.writeInt32LE(3, 7 * 12);
  writeFileSync(path, rows);
  const reader = openRows(await locateFeatures(path));
  const out = new Float32Array(80);
  reader.read(0, 7, out);
  assert.throws(() => reader.read(0, 40, out), {
    code: 'BAD_INPUT',
    message: /row 7 has 3 values, expected 2 as row 0/,
  });
  reader.close();
  await assert.rejects(readKnn(path), { code: 'BAD_INPUT', message: /expected a kNN graph as \.ivecs/ });
});

test('every way to write an input in docs/formats.md is read as what was written', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const rows = [...readFileSync('docs/formats.md', 'utf8').matchAll(/^(?:## (.*)|\| (.*) \| `(.*)` \|)$/gm)];
  let section = '';
  const cases: { section: string; form: string; code: string }[] = [];
  for (const [, title, form, code] of rows) {
    if (title !== undefined) section = title;
    else cases.push({ section, form, code });
  }
  assert.equal(cases.length, 30);
  python(
    `import numpy as np, sys, os, json, struct, csv
os.chdir(sys.argv[1])
def save_file(arrays, path): # as the package safetensors, which Debian has not, writes them
  names = {'float32': 'F32', 'int64': 'I64'}; header = {}; data = b''
  for name, a in arrays.items():
    header[name] = dict(dtype=names[str(a.dtype)], shape=list(a.shape), data_offsets=[len(data), len(data) + a.nbytes]); data += a.tobytes()
  text = json.dumps(header).encode(); open(path, 'wb').write(struct.pack('<Q', len(text)) + text + data)
x = np.arange(20, dtype='f4').reshape(10, 2); y = np.arange(10) % 4; paths = [f'{i}, é.jpg' for i in range(10)]
I = (np.arange(10)[:, None] + np.arange(4)) % 10; D = np.ones((10, 4), 'f4')
pairs = np.array([[0, 1], [1, 2]]); scores = np.array([.5, .25], 'f4')
for i, code in enumerate(json.loads(sys.argv[2])):
  os.mkdir(str(i)); os.chdir(str(i)); exec(code); os.chdir('..')`,
    folder,
    JSON.stringify(cases.map(({ code }) => code)),
  );
  const graph = Array.from({ length: 40 }, (_, i) => ((i >> 2) + (i % 4)) % 10);
  for (const [i, { section, form, code }] of cases.entries()) {
    const [written] = /[a-z]+\.(npy|npz|safetensors|fvecs|ivecs|bin|txt|csv|jsonl)/.exec(code) ?? [];
    const members = [...form.matchAll(/`[a-z]+\.(?:npz|csv|jsonl)(:[a-z_0-9]+)`/g)].map(([, member]) => member);
    for (const member of members.length > 0 ? members : ['']) {
      const file = join(folder, String(i), written + member);
      if (section.startsWith('Features')) {
        const dim = form.includes('--dim') ? 2 : undefined;
        assert.deepEqual(
          await valuesIn(file, dim),
          Array.from({ length: 20 }, (_, value) => value),
          code,
        );
      } else if (section.startsWith('kNN')) {
        assert.deepEqual([...(await readKnn(file, { nodeCount: 10 })).ids], graph, code);
      } else if (section.startsWith('Labels')) {
        assert.deepEqual([...(await readLabels(file)).codes], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1], code);
      } else if (section.startsWith('Names')) {
        const names = await readItems(
          form.includes('beside') ? (await itemsBeside(file, 'features'))! : await openItems(file),
        );
        assert.deepEqual(
          Array.from({ length: names.length }, (_, row) => names.at(row)),
          Array.from({ length: 10 }, (_, row) => `${row}, é.jpg`),
          code,
        );
      } else {
        const { data } = await readInt32Array(file, 'edges');
        assert.deepEqual([...data], [0, 1, 1, 2], code);
      }
    }
  }
});

test('docs/formats.md has every format of the list', () => {
  const page = readFileSync('docs/formats.md', 'utf8');
  for (const { name } of formats.filter((format) => format !== raw)) {
    const [known] = /^(?:an? )?(.*?)(?: (?:array|archive|pointer|page|of version|and not)\b|,| file$| file of|$)/
      .exec(name)!
      .slice(1);
    for (const word of known.split(' or ')) assert.ok(page.includes(word.replace(/ file$/, '')), `${word} of ${name}`);
  }
});
