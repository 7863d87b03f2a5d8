/** Embeddings of images of every kind, beside Pillow and NumPy; runs that are cut off; records; what is refused. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadSharp } from '../../src/extraction/decode.js';
import { locateFeatures } from '../../src/io/features.js';
import { openRows } from '../../src/io/matrix.js';
import { exportSet } from '../../src/jobs/export.js';
import { type ExtractOptions, extract } from '../../src/jobs/extract.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { withoutPackage } from '../cli/without-package.js';
import { python, without } from '../io/python.js';
import { dim, twin, writeRecogniser } from './recogniser-model.js';

const skip = without('numpy') || without('PIL');
const folder = temporaryFolder(after);
const faces = join(folder, 'faces');
const model = join(folder, 'model.onnx');
writeRecogniser(model);

/** An image of each kind that readers of training sets meet, in folders, one turned by EXIF; and files that are no images. */
if (!skip) {
  python(
    `
import os, sys
import numpy as np
from PIL import Image
root = sys.argv[1]
os.makedirs(root + '/人 é'); os.makedirs(root + '/broken')
random = np.random.RandomState(1)
def face(size=(112, 112)): return Image.fromarray((random.rand(9, 9, 3) * 255).astype('u1')).resize(size, Image.BICUBIC)
def save(image, name, **how): image.save(f'{root}/{name}', **how)
save(face(), 'a.jpg', quality=80); save(face(), '人 é/b, "1".png'); save(face(), 'c.webp', quality=80); save(face(), 'd.WEBP', lossless=True)
save(face().convert('L'), 'grey.jpg'); save(face().convert('L'), 'grey.png'); save(face().convert('1'), 'bits.png')
save(face().convert('P'), 'palette.png'); save(face(), 'e.gif'); save(face(), 'f.tiff')
alpha = face().convert('RGBA'); alpha.putalpha(face().convert('L')); save(alpha, 'alpha.png'); save(face().convert('LA'), 'grey-alpha.png')
for turned in range(2, 9):
  exif = Image.Exif(); exif[0x112] = turned; save(face(), f'turned{turned}.jpg', exif=exif)
exif = Image.Exif(); exif[0x112] = 6; save(face((90, 120)), 'turned-long.jpg', exif=exif)
save(face((50, 60)), 'small.png'); save(face((113, 112)), 'near.png'); save(face((401, 448)), 'large.jpg'); save(face((1, 1)), 'one.png')
Image.fromarray((random.rand(112, 112) * 65535).astype('u2')).save(root + '/deep.png')
save(face().convert('CMYK'), 'ink.jpg')
whole = open(root + '/a.jpg', 'rb').read()
open(root + '/broken/cut.jpg', 'wb').write(whole[:len(whole) // 2])
open(root + '/broken/empty.jpg', 'wb').write(b'')
open(root + '/broken/text.jpg', 'wb').write(b'no image at all')
open(root + '/broken/drawing.png', 'w').write('<svg xmlns="http://www.w3.org/2000/svg" width="112" height="112"><rect width="9" height="9"/></svg>')
os.symlink(root + '/nowhere.jpg', root + '/broken/gone.jpg')
open(root + '/notes.txt', 'w').write('not an image')
`,
    faces,
  );
}

/** Rows of the twin for names below the folder. */
function expectedRows(
  names: readonly string[],
  { flip = false, bgr = false, mean = 127.5, std = 127.5 } = {},
): number[][] {
  const list = join(folder, 'names.json');
  writeFileSync(list, JSON.stringify(names));
  return JSON.parse(
    python(
      `${twin}
import json, sys
from PIL import Image, ImageOps
root, names, flip, bgr, mean, std = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3] == 'true', sys.argv[4] == 'true', float(sys.argv[5]), float(sys.argv[6])
def pixels(name):
  image = ImageOps.exif_transpose(Image.open(f'{root}/{name}'))
  # Pillow clips grey of 16 bits: the upper 8 are taken, as of colours
  if image.mode.startswith('I'): image = Image.fromarray((np.asarray(image) >> 8).astype('u1'))
  image = image.convert('RGB')
  return np.asarray(image if image.size == (112, 112) else image.resize((112, 112), Image.BILINEAR))
x = ((np.stack([pixels(name) for name in names]).astype('f4') - np.float32(mean)) / np.float32(std))
if bgr: x = x[..., ::-1]
rows = embed(x)
if flip: rows = (rows + embed(x[:, :, ::-1])) / 2
print(json.dumps(rows.tolist()))`,
      faces,
      list,
      String(flip),
      String(bgr),
      String(mean),
      String(std),
    ),
  );
}

async function rowsOf(path: string): Promise<Float32Array[]> {
  const reader = openRows(await locateFeatures(path));
  const all = new Float32Array(reader.rowCount * reader.dim);
  reader.read(0, reader.rowCount, all);
  reader.close();
  return Array.from({ length: reader.rowCount }, (_, i) => all.subarray(i * reader.dim, (i + 1) * reader.dim));
}

function table(path: string): string[][] {
  const rows = JSON.parse(
    python('import csv, json, sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline="")))))', path),
  );
  return rows.slice(1);
}

let runs = 0;
async function extracted(options: Partial<ExtractOptions> = {}) {
  const out = join(folder, `out${runs++}`);
  const notices: string[] = [];
  const summary = await extract({
    ...{ images: faces, model, out, threads: 1, onNotice: (line) => notices.push(line) },
    ...options,
  });
  return {
    out,
    summary,
    notices,
    names: table(join(out, 'items.csv')).map(([name]) => name),
    rows: await rowsOf(join(out, 'features.npy')),
  };
}

function assertClose(
  rows: readonly Float32Array[],
  names: readonly string[],
  expected: readonly number[][],
  most = 1e-4,
): void {
  for (const [i, row] of rows.entries()) {
    const largest = Math.max(...row.map((value, c) => Math.abs(value - expected[i][c])));
    assert.ok(largest <= most, `${names[i]} differs by ${largest}`);
  }
}

test('embeddings of every kind of image are those of Pillow and NumPy', { skip }, async () => {
  const { rows, names, summary, notices, out } = await extracted({ batch: 5, threads: 2 });
  assert.deepEqual(
    { ...summary },
    { images: 31, rows: 26, dim, failed: 5, resized: 5, height: 112, width: 112, kept: 0 },
  );
  assert.ok(names.includes('人 é/b, "1".png'));
  // Inks become colours by the profile of libvips, and by a rule of thumb in Pillow.
  const exact = names.map((name, i) => ({ name, row: rows[i] })).filter(({ name }) => name !== 'ink.jpg');
  assert.equal(exact.length, 25);
  const exactNames = exact.map(({ name }) => name);
  assertClose(
    exact.map(({ row }) => row),
    exactNames,
    expectedRows(exactNames),
  );
  const failed = new Map(table(join(out, 'failed.csv')) as [string, string][]);
  assert.deepEqual(
    [...failed.keys()],
    ['cut.jpg', 'drawing.png', 'empty.jpg', 'gone.jpg', 'text.jpg'].map((name) => `broken/${name}`),
  );
  assert.match(failed.get('broken/cut.jpg')!, /premature end/);
  assert.match(failed.get('broken/drawing.png')!, /^is no JPEG, PNG, WebP, GIF, TIFF or AVIF$/);
  assert.equal(failed.get('broken/gone.jpg'), 'there is no such file');
  assert.equal(notices.length, 3);
  assert.match(notices[0], /1 files that do not end as images do are left alone/);
  assert.match(notices[1], /5 of 31 images could not be read/);
  assert.match(notices[2], /5 of 31 images are not 112 × 112 and were resized/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.parts')),
    [],
  );
});

test('threads leave the loaders of the process as they are: for a moment none would work', { skip }, async () => {
  const sharp = (await loadSharp()) as unknown as typeof import('sharp');
  const jpeg = { operation: ['VipsForeignLoadJpeg'] };
  const list = join(folder, 'one.txt');
  writeFileSync(list, 'a.jpg\n');
  sharp.block(jpeg);
  try {
    await assert.rejects(extracted({ images: list, root: faces }), /none of 1 images can be read: a\.jpg: is no JPEG/);
  } finally {
    sharp.unblock(jpeg);
  }
});

test('mirror images, the order of channels and the scale are as asked for, in any layout and batch of the model', {
  skip,
}, async () => {
  const names = ['a.jpg', '人 é/b, "1".png', 'c.webp'];
  const list = join(folder, 'list.txt');
  writeFileSync(list, names.map((name) => `${name}\n`).join(''));
  const files = { images: list, root: faces };
  const check = async (options: Partial<ExtractOptions>, twinOptions: Parameters<typeof expectedRows>[1]) => {
    const found = await extracted({ ...files, ...options });
    assert.deepEqual(found.names, names);
    assertClose(found.rows, names, expectedRows(names, twinOptions));
  };
  await check({ mean: 100, std: 50, channels: 'bgr' }, { mean: 100, std: 50, bgr: true });
  const other = join(folder, 'other.onnx');
  writeRecogniser(other, { batch: 2, channelsLast: true });
  await check({ model: other, preset: 'adaface', flip: true }, { flip: true, bgr: true });
  // As insightface's w600k_r50.onnx: any batch, of which the output is declared to have one row.
  writeRecogniser(other, { batch: 'None', declared: 1 });
  await check({ model: other, preset: 'arcface', flip: true }, { flip: true });
  writeRecogniser(other, { batch: 1 });
  await check({ model: other, preset: 'arcface' }, {});
  writeRecogniser(other, { size: 'side' });
  await check({ model: other, preset: 'facenet', size: [112, 112] }, { std: 128 });
});

test('a record file gives the embeddings of its images, their names and labels', { skip }, async () => {
  const names = ['a.jpg', 'c.webp', 'grey.png', 'turned6.jpg'];
  const run = join(folder, 'labels.csv');
  writeFileSync(run, `item,label\n${names.map((name, i) => `${name},${i % 2}\n`).join('')}`);
  await exportSet({ run, root: faces, to: 'rec', out: join(folder, 'records') });
  const found = await extracted({ images: join(folder, 'records/train.rec') });
  const order = ['a.jpg', 'grey.png', 'c.webp', 'turned6.jpg'];
  assert.deepEqual(
    table(join(found.out, 'items.csv')),
    order.map((name, i) => [name, String(Math.floor(i / 2))]),
  );
  assertClose(found.rows, order, expectedRows(order));
  truncateSync(join(folder, 'records/train.rec'), statSync(join(folder, 'records/train.rec')).size - 200);
  await assert.rejects(extracted({ images: join(folder, 'records/train.rec') }), /train\.rec/);
});

test('a run that was killed goes on, to the same bytes; images that changed meanwhile are read again', {
  skip,
}, async () => {
  const many = join(folder, 'many');
  python(
    `
import os, sys
import numpy as np
from PIL import Image
os.makedirs(sys.argv[1])
random = np.random.RandomState(2)
for i in range(600):
  Image.fromarray((random.rand(7, 7, 3) * 255).astype('u1')).resize((112, 112)).save(f'{sys.argv[1]}/{i:04d}.jpg')
`,
    many,
  );
  const whole = await extracted({ images: many, threads: 2 });
  assert.equal(whole.summary.rows, 600);
  const out = join(folder, 'cut');
  const flags = ['extract', '--images', many, '--model', model, '--out', out, '--threads', '1'];
  const running = start(flags);
  const parts = `${out}.parts`;
  const kept = () => (existsSync(parts) ? readdirSync(parts).filter((name) => name.startsWith('part-')) : []);
  while (kept().length === 0 && running.child.exitCode === null) await new Promise(setImmediate);
  running.child.kill('SIGKILL');
  await running.ended;
  assert.ok(kept().length > 0 && kept().length < 3 && !existsSync(out), `${kept().length} parts`);
  const others = await naan([...flags, '--flip']);
  assert.equal(others.code, 2);
  assert.match(others.stderr, /another one by its flip: give --restart/);
  // One part is damaged, and one image is another file.
  const first = join(parts, kept()[0]);
  const bytes = readFileSync(first);
  bytes[bytes.length - 5] ^= 1;
  writeFileSync(first, bytes);
  utimesSync(join(many, '0599.jpg'), 1, 1);
  const on = await naan([...flags, '--json']);
  assert.equal(on.code, 0, on.stderr);
  assert.deepEqual(readFileSync(join(out, 'features.npy')), readFileSync(join(whole.out, 'features.npy')));
  assert.deepEqual(readFileSync(join(out, 'items.csv')), readFileSync(join(whole.out, 'items.csv')));
  assert.ok(!existsSync(parts));
  const again = await naan(flags);
  assert.equal(again.code, 2);
  assert.match(again.stderr, /is there already and has files in it/);
});

test('what cannot be done is said in one line', { skip }, async () => {
  const out = join(folder, 'refused');
  const refused = async (options: Partial<ExtractOptions>, pattern: RegExp) => {
    await assert.rejects(extract({ images: faces, model, out, ...options }), (error: Error) => {
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
    assert.ok(!existsSync(out));
  };
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  await refused({ images: empty }, /empty: has no files in it that end as images do/);
  await refused({ images: join(folder, 'nowhere') }, /nowhere: cannot be read: no such file/i);
  await refused({ images: join(faces, 'broken') }, /none of 5 images can be read: cut\.jpg: /);
  await refused({ model: join(faces, 'a.jpg') }, /a\.jpg: is no ONNX model/);
  await refused({ output: 'nothing' }, /has no output 'nothing', expected 'embedding'/);
  await refused({ provider: 'tensorrt' }, /provider 'tensorrt' cannot start/);
  const odd = join(folder, 'odd.onnx');
  writeRecogniser(odd, { size: 64 });
  await refused({ model: odd }, /odd\.onnx: /);
});

test('names that no file can have, and images of many pixels, do not stop the others', { skip }, async () => {
  const list = join(folder, 'odd.jsonl');
  python(
    "import sys; from PIL import Image; Image.new('RGB', (1500, 1501), (9, 90, 200)).save(sys.argv[1])",
    join(faces, 'many-pixels.png'),
  );
  const names = ['many-pixels.png', 'x'.repeat(300), 'a\0.jpg', 'many-pixels.png', 'a.jpg'];
  writeFileSync(list, names.map((item) => `${JSON.stringify({ item })}\n`).join(''));
  // The folder of parts is beside an output, however that is written.
  const out = join(folder, 'odd-out');
  const summary = await extract({ images: list, root: faces, model, out: `${out}/`, threads: 1 });
  const rows = await rowsOf(join(out, 'features.npy'));
  assert.deepEqual(readdirSync(out).sort(), ['failed.csv', 'features.npy', 'items.csv', 'run.json']);
  assert.deepEqual([summary.rows, summary.failed], [3, 2]);
  assert.deepEqual(rows[0], rows[1]);
  assert.match(readFileSync(join(out, 'failed.csv'), 'utf8'), /^x+,/m);
});

test('a folder of parts keeps what somebody put there', { skip }, async () => {
  const out = join(folder, 'beside');
  const parts = `${out}.parts`;
  const mine = join(parts, 'mine.txt');
  let isPut = false;
  await extract({
    ...{ images: faces, model, out, threads: 1 },
    onProgress: () => {
      if (!isPut) writeFileSync(mine, 'mine');
      isPut = true;
    },
  });
  assert.deepEqual(readdirSync(parts), ['mine.txt']);
  const other = join(folder, 'beside2');
  mkdirSync(`${other}.parts`);
  for (const name of ['run.json', 'part-00000']) writeFileSync(join(`${other}.parts`, name), '{"by": "another"}');
  await assert.rejects(extract({ images: faces, model, out: other, restart: true }), { code: 'BAD_USAGE' });
  assert.deepEqual(readdirSync(`${other}.parts`).sort(), ['part-00000', 'run.json']);
});

test('without the package sharp a line says how to get it', async () => {
  const copy = withoutPackage('sharp', join(folder, 'copy'));
  const { code, stderr } = await naan(['extract', '--images', faces, '--model', model, '--out', join(folder, 'none')], {
    main: copy.main,
  });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^naan extract: the package sharp, which decodes images, is not installed: 'npm install sharp@0\.35\.5'/,
  );
});
