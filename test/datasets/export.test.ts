import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { readClusterTable } from '../../src/io/cluster-table.js';
import { type ExportOptions, exportSet } from '../../src/jobs/export.js';
import { label } from '../../src/jobs/label.js';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { python, temporaryFolder, without } from '../io/python.js';

interface Row {
  readonly item: string;
  readonly label: number;
}

/** Readers of each form, as their users would write them without the tools: they return [[name or bytes, label], …]. */
const readers = `
import csv, hashlib, io, json, os, struct, sys, tarfile
def records(path):
  with open(path, 'rb') as f: data = f.read()
  def record(at):
    parts = []
    while True:
      magic, length = struct.unpack_from('<II', data, at)
      assert magic == 0xced7230a, at
      kind, length = length >> 29, length & (2 ** 29 - 1)
      parts.append(data[at + 8:at + 8 + length])
      at += 8 + (length + 3) // 4 * 4
      if kind in (0, 3): return struct.pack('<I', 0xced7230a).join(parts), at
  index = [tuple(map(int, line.split('\\t'))) for line in open(path[:-3] + 'idx')]
  found, end = {}, 0
  for key, at in index:
    assert at == end
    body, end = record(at)
    flag, label, own, second = struct.unpack_from('<IfQQ', body)
    assert (own, second) == (key, 0)
    labels = struct.unpack_from('<%df' % flag, body, 24)
    found[key] = (labels or label, body[24 + 4 * flag:])
  assert end == len(data)
  return found
def rec(folder, part):
  found = records(f'{folder}/{part}.rec')
  (end, last), nothing = found[0]
  assert nothing == b'' and last == len(found)
  # as insightface's MXFaceDataset goes through the images
  images = [(found[key][1].hex(), int(found[key][0])) for key in range(1, int(end))]
  for key in range(int(end), int(last)):
    (first, behind), nothing = found[key]
    assert nothing == b'' and len({label for _, label in images[int(first) - 1:int(behind) - 1]}) == 1
  lst = [line.rstrip('\\n').split('\\t') for line in open(f'{folder}/{part}.lst')]
  assert [int(key) for key, _, _ in lst] == list(range(1, int(end)))
  assert [int(label) for _, label, _ in lst] == [label for _, label in images]
  return images
def webdataset(folder, part):
  images = []
  for name in sorted(os.listdir(folder)):
    if not (name.startswith(part) and name.endswith('.tar')): continue
    with tarfile.open(f'{folder}/{name}') as tar: members = [(m.name, tar.extractfile(m).read()) for m in tar]
    for (image, data), (cls, label), (about, text) in zip(members[0::3], members[1::3], members[2::3]):
      key = image.split('.')[0]
      assert (image.split('.')[1] in ('jpg', 'png'), cls, about) == (True, key + '.cls', key + '.json')
      assert json.loads(text)['label'] == int(label)
      images.append((data.hex(), int(label)))
  return images
def imagefolder(folder, part): # as torchvision's ImageFolder numbers classes
  classes = sorted(os.listdir(f'{folder}/{part}'))
  first = int(classes[0])
  return [(open(f'{folder}/{part}/{c}/{name}', 'rb').read().hex(), first + i)
    for i, c in enumerate(classes) for name in sorted(os.listdir(f'{folder}/{part}/{c}'))]
def lst(folder, part):
  rows = [line.rstrip('\\n').split('\\t') for line in open(f'{folder}/{part}.lst')]
  assert [int(row[0]) for row in rows] == list(range(len(rows)))
  return [(name, int(float(label))) for _, label, name in rows]
def listed(folder, part): return [(name, int(label)) for name, label in list(csv.reader(open(f'{folder}/{part}.csv', newline='')))[1:]]
def jsonl(folder, part): return [(row['item'], row['label']) for row in map(json.loads, open(f'{folder}/{part}.jsonl'))]
def filelist(folder, part): return [(line[:line.rindex(' ')], int(line[line.rindex(' '):])) for line in open(f'{folder}/{part}.txt')]
form, folder = sys.argv[1:]
manifest = json.load(open(folder + '/manifest.json'))
for file in manifest['files']:
  data = open(f"{folder}/{file['name']}", 'rb').read()
  assert (len(data), hashlib.sha256(data).hexdigest()) == (file['bytes'], file['sha256']), file
read = {'csv': listed}.get(form) or globals()[form]
print(json.dumps({part: {'images': read(folder, part), 'list': listed(folder, part)} for part in manifest['parts']}))
`;

interface Read {
  readonly images: readonly (readonly [string, number])[];
  readonly list: readonly (readonly [string, number])[];
}

async function readBack(form: string, folder: string): Promise<Record<'train' | 'val', Read>> {
  const read = JSON.parse(python(readers, form === 'parquet' ? 'csv' : form, folder));
  if (form !== 'parquet') return read;
  for (const part of Object.keys(read)) {
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(join(folder, `${part}.parquet`)) });
    read[part].images = rows.map(({ item, label }) => [item, label]);
  }
  return read;
}

/** A table item,label and an image for each item, of other bytes each; some hold what starts a record. */
function makeRun(folder: string, rows: readonly Row[], name = 'labels.csv'): { run: string; root: string } {
  const [run, root] = [join(folder, name), join(folder, 'images')];
  const field = (text: string) => `"${text.replaceAll('"', '""')}"`;
  writeFileSync(run, `item,label\n${rows.map(({ item, label }) => `${field(item)},${label}\n`).join('')}`);
  for (const [i, { item }] of rows.entries()) {
    mkdirSync(dirname(join(root, item)), { recursive: true });
    writeFileSync(join(root, item), bytesOf(i));
  }
  return { run, root };
}

function bytesOf(i: number): Buffer {
  const magic = Buffer.from([0x0a, 0x23, 0xd7, 0xce]);
  const start = Buffer.from(i % 2 ? [0xff, 0xd8, 0xff, 0xe0] : [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [start, ...Array(i % 4).fill(magic), Buffer.from(`${i}`.repeat(i % 5)), magic, Buffer.from(`end ${i}`)];
  return Buffer.concat(parts);
}

/** 40 rows: clusters 0 to 9 of three images and one of ten, −1 for some. */
const rows: readonly Row[] = Array.from({ length: 40 }, (_, i) => ({
  item: `人 ${i % 6}/é, "${i}".jpg`,
  label: i < 30 ? i % 10 : i < 38 ? 10 : i === 38 ? -1 : 11,
}));

async function exported(t: { after(clean: () => void): void }, options: Partial<ExportOptions>, of = rows) {
  const folder = temporaryFolder(t as Parameters<typeof temporaryFolder>[0]);
  const made = makeRun(folder, of);
  const out = join(folder, 'set');
  const summary = await exportSet({ ...made, to: 'csv', out, ...options });
  return { ...made, folder, out, summary };
}

test('each form read back by Python: images, labels without gaps, parts by identity', {
  skip: without('numpy'),
}, async (t) => {
  for (const to of ['imagefolder', 'lst', 'rec', 'webdataset', 'csv', 'jsonl', 'parquet', 'filelist']) {
    const { out, summary } = await exported(t, { to, split: 0.3, offset: 100 });
    const read = await readBack(to, out);
    const { train, val } = summary.parts;
    assert.deepEqual([summary.rows, summary.leftOut.unlabelled, summary.leftOut.small], [40, 1, 1], to);
    assert.deepEqual([train!.images + val!.images, train!.identities + val!.identities], [38, 11]);
    assert.deepEqual([train!.firstLabel, train!.lastLabel + 1], [100, val!.firstLabel]);
    const clusterOf = new Map<number, number>();
    const seen: string[] = [];
    for (const part of ['train', 'val'] as const) {
      const hasBytes = ['imagefolder', 'rec', 'webdataset'].includes(to);
      const nameOf = new Map(rows.map(({ item }, i) => [hasBytes ? bytesOf(i).toString('hex') : item, item]));
      const images = read[part].images.map(([content, label]) => [nameOf.get(content), label] as const);
      const sorted = (pairs: typeof images) => pairs.map((pair) => pair.join('\n')).sort();
      assert.deepEqual(sorted(images), sorted(read[part].list as typeof images), to);
      const labels = new Set(images.map(([, label]) => label));
      const { firstLabel, identities } = summary.parts[part]!;
      assert.deepEqual(
        [...labels].sort((a, b) => a - b),
        Array.from({ length: identities }, (_, i) => firstLabel + i),
      );
      for (const [item, label] of images) {
        const cluster = rows.find((row) => row.item === item)!.label;
        assert.equal(clusterOf.get(label) ?? cluster, cluster);
        clusterOf.set(label, cluster);
        seen.push(item!);
      }
    }
    assert.equal(new Set(clusterOf.values()).size, 11);
    assert.equal(new Set(seen).size, 38);
  }
});

test('an image folder has links, copies, or only a plan; names that meet in a class are told apart', async (t) => {
  const same = ['a/1.jpg', 'b/1.JPG', 'c/1.jpg', 'd/2.jpg'].map((item) => ({ item, label: 7 }));
  const linked = await exported(t, { to: 'imagefolder' }, same);
  const names = ['1.jpg', '2-1.JPG', '2.jpg', '3-1.jpg'];
  assert.deepEqual(readdirSync(join(linked.out, 'train', '0')).sort(), names);
  assert.equal(readlinkSync(join(linked.out, 'train', '0', '2-1.JPG')), join(linked.root, 'b/1.JPG'));
  const copied = await exported(t, { to: 'imagefolder', files: 'copy' }, same);
  assert.ok(lstatSync(join(copied.out, 'train', '0', '3-1.jpg')).isFile());
  assert.deepEqual(readFileSync(join(copied.out, 'train', '0', '3-1.jpg')), bytesOf(2));
  const planned = await exported(t, { to: 'imagefolder', files: 'plan' }, same);
  assert.deepEqual(readdirSync(planned.out).sort(), ['manifest.json', 'train-plan.csv', 'train.csv']);
  const plan = readFileSync(join(planned.out, 'train-plan.csv'), 'utf8').split('\n');
  assert.deepEqual(plan.slice(0, 3), [
    'from,to',
    `${planned.root}/a/1.jpg,train/0/1.jpg`,
    `${planned.root}/b/1.JPG,train/0/2-1.JPG`,
  ]);
});

test('a labelled set that is merged with comes first and keeps its images; caps and sizes hold', async (t) => {
  const folder = temporaryFolder(t);
  const known = makeRun(
    folder,
    [
      { item: 'k/1.jpg', label: 5 },
      { item: rows[0].item, label: 5 },
      { item: 'k/2.jpg', label: -1 },
      { item: 'k/3.jpg', label: 9 },
    ],
    'known.csv',
  );
  const { out, summary } = await exported(t, { merge: known.run, maxPerIdentity: 4, minSize: 3 });
  const lines = readFileSync(join(out, 'train.csv'), 'utf8').split('\n');
  assert.deepEqual(lines.slice(0, 4), ['item,label', 'k/1.jpg,0', '"人 0/é, ""0"".jpg",0', 'k/3.jpg,1']);
  assert.equal(lines[4], '"人 1/é, ""1"".jpg",2');
  assert.deepEqual(summary.leftOut, {
    unlabelled: 2,
    untrusted: 0,
    small: 3,
    capped: 4,
    repeated: 0,
    contradicted: 0,
    known: 1,
  });
  assert.deepEqual(summary.parts.train, { images: 34, identities: 12, firstLabel: 0, lastLabel: 11 });
});

test('an item that occurs again is exported once, and not at all where it has two labels', async (t) => {
  const again = ['a', 'a', 'b', 'b', 'c', 'd'].map((item, i) => ({ item, label: [1, 1, 1, 2, 1, -1][i] }));
  const { out, summary } = await exported(t, {}, again);
  assert.equal(readFileSync(join(out, 'train.csv'), 'utf8'), 'item,label\na,0\nc,0\n');
  assert.deepEqual([summary.leftOut.repeated, summary.leftOut.contradicted, summary.leftOut.unlabelled], [1, 2, 1]);
});

test('what stops an export leaves nothing behind, and nothing that is there is replaced', async (t) => {
  const folder = temporaryFolder(t);
  const made = makeRun(folder, rows);
  const out = join(folder, 'sets', 'one');
  const refused = async (options: Partial<ExportOptions>, code: string, message: RegExp) => {
    await assert.rejects(exportSet({ ...made, to: 'rec', out, ...options }), { code, message });
    assert.deepEqual(readdirSync(folder).sort(), before);
  };
  mkdirSync(join(folder, 'sets'));
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full', 'mine'), '');
  writeFileSync(join(folder, 'empty.csv'), 'item,label\na,-1\n');
  const before = readdirSync(folder).sort();
  await refused({ out: join(folder, 'full') }, 'BAD_USAGE', /full: is there already and has files in it/);
  await refused({ out: made.run }, 'BAD_USAGE', /labels\.csv: is there already and is no folder/);
  await refused({ out: join(made.run, 'x') }, 'NOT_WRITABLE', /cannot be written/);
  await refused({ root: join(folder, 'nowhere') }, 'BAD_INPUT', /nowhere: is no folder, expected the --root/);
  await refused({ run: folder }, 'BAD_INPUT', /has no run\.json that can be read, expected the --out of naan label/);
  await refused(
    { run: join(folder, 'empty.csv') },
    'BAD_INPUT',
    /no image is left to export: of 1 rows 1 have no label/,
  );
  await refused({ to: 'zip' }, 'BAD_USAGE', /got 'zip', expected imagefolder, lst, rec/);
  await refused({ offset: 2 ** 24 }, 'BAD_USAGE', /float32 headers count to 16777216/);
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  for (const to of ['rec', 'imagefolder', 'webdataset', 'csv', 'parquet']) {
    await refused({ to, signal: controller.signal, onProgress }, 'CANCELLED', /cancelled/);
  }
  writeFileSync(join(made.root, rows[3].item), 'text');
  await refused({}, 'BAD_INPUT', /is no image by its first bytes, expected JPEG, PNG/);
  rmSync(join(made.root, rows[3].item));
  for (const to of ['rec', 'imagefolder', 'webdataset']) {
    await refused({ to }, 'BAD_INPUT', /cannot be read: no such file.*it is item '.*--root says where items lie/);
  }
  // A pipe would be waited for, and a device would be read for ever.
  const pipe = (path: string) => execFileSync('mkfifo', [path]);
  const device = (path: string) => symlinkSync('/dev/zero', path);
  for (const make of [pipe, device]) {
    make(join(made.root, rows[3].item));
    for (const to of ['rec', 'imagefolder', 'webdataset']) {
      await refused({ to }, 'BAD_INPUT', /(is not a plain file|is a pipe.*): it is item '/);
    }
    rmSync(join(made.root, rows[3].item), { force: true });
  }
  const zero = join(folder, 'full', 'zero.csv');
  writeFileSync(zero, `item,label\n${'p.jpg,-1\n'.repeat(20_000)}a\0.jpg,1\nb.jpg,1\n`);
  for (const to of ['rec', 'imagefolder']) {
    await refused({ run: zero, to }, 'BAD_INPUT', /item 'a\\u0000\.jpg': has a zero byte in it/);
  }
  assert.deepEqual(readdirSync(join(folder, 'sets')), []);
});

test('40,000 images of one class that have one name each get another, soon', async (t) => {
  const same = Array.from({ length: 40_000 }, (_, i) => ({ item: `${i}/face.jpg`, label: 0 }));
  const out = join(temporaryFolder(t), 'out');
  const run = join(temporaryFolder(t), 'run.csv');
  writeFileSync(run, `item,label\n${same.map(({ item }) => `${item},0\n`).join('')}`);
  await exportSet({ run, to: 'imagefolder', files: 'plan', out });
  const plan = readFileSync(join(out, 'train-plan.csv'), 'utf8').trimEnd().split('\n');
  assert.match(plan[1], /,train\/0\/face\.jpg$/);
  assert.match(plan[40_000], /39999\/face\.jpg,train\/0\/40000-face\.jpg$/);
});

test('100,000 rows: the same set each time', async (t) => {
  const many = Array.from({ length: 100_000 }, (_, i) => `folder/${i}.jpg,${(i * 7919) % 30_011}\n`);
  const folder = temporaryFolder(t);
  const run = join(folder, 'labels.csv');
  writeFileSync(run, `item,label\n${many.join('')}`);
  const digests = [];
  for (const [name, to] of [
    ['one', 'lst'],
    ['two', 'lst'],
    ['three', 'parquet'],
    ['four', 'parquet'],
  ] as const) {
    const out = join(folder, name);
    const { parts } = await exportSet({ run, to, out, split: 0.1 });
    assert.equal(parts.train!.images + parts.val!.images, 100_000);
    assert.ok(Math.abs(parts.val!.identities / 30_011 - 0.1) < 0.01);
    digests.push(JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')).files);
  }
  assert.deepEqual(digests[0], digests[1]);
  assert.deepEqual(digests[2], digests[3]);
  // 90,000 rows are more than one row group.
  const file = await asyncBufferFromFile(join(folder, 'three', 'train.parquet'));
  const table = await parquetReadObjects({ file });
  const lines = table.map(({ item, label }) => `${item},${label}`);
  assert.equal(`item,label\n${lines.join('\n')}\n`, readFileSync(join(folder, 'three', 'train.csv'), 'utf8'));
});

test('clusters of less than min-trust are left out, and counted', async (t) => {
  const folder = temporaryFolder(t);
  const fixture = 'test/fixtures/four_heads';
  const [items, run] = [join(folder, 'items.txt'), join(folder, 'labels')];
  writeFileSync(items, Array.from({ length: 232 }, (_, i) => `${i}.jpg\n`).join(''));
  const inputs = { features: `${fixture}/feats.npz`, knn: `${fixture}/knn.npy`, items };
  await label({ ...inputs, model: await importCheckpoint(`${fixture}/zip.ckpt`), threshold: 0.99, out: run });
  const table = await readClusterTable(join(run, 'clusters.csv'));
  const minTrust = [...table.trust].sort()[table.trust.length >> 1];
  const kept = table.sizes.filter((_, c) => table.trust[c] >= minTrust);
  const images = kept.reduce((sum, size) => sum + size, 0);
  assert.ok(kept.length > 0 && kept.length < table.ids.length);

  const out = join(folder, 'set');
  const { parts, leftOut, rows } = await exportSet({ run, to: 'csv', out, minSize: 1, minTrust });
  assert.deepEqual([parts.train!.images, parts.train!.identities], [images, kept.length]);
  assert.equal(leftOut.untrusted, rows - images - leftOut.unlabelled);
  const listed = readFileSync(join(out, 'train.csv'), 'utf8').trimEnd().split('\n').slice(1);
  const trusted = readFileSync(join(run, 'labels.csv'), 'utf8').split('\n').slice(1);
  const expected = trusted
    .map((line) => line.split(','))
    .filter(([, , trust]) => trust && Math.fround(Number(trust)) >= minTrust);
  assert.deepEqual(listed.map((line) => line.split(',')[0]).sort(), expected.map(([item]) => item).sort());

  rmSync(join(run, 'clusters.csv'));
  const without = exportSet({ run, to: 'csv', out: join(folder, 'none'), minTrust });
  await assert.rejects(without, { code: 'BAD_USAGE', message: /does not say how far its clusters are trusted/ });
});
