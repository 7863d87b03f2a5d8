import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { writeNpy, writeNpz } from '../../src/io/npy-writer.js';
import { readSafetensors, writeSafetensors } from '../../src/io/safetensors.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, type Outcome, temporaryFolder } from './naan.js';

const n = 165;
const d = 32;
const columns = 21;
const folder = temporaryFolder(after);
const at = (name: string) => join(folder, name);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
let good: Inputs;
let rows: Float32Array;
let ids: Int32Array;
before(async () => {
  good = await fixtureInputs(folder);
  rows = (await readFloat32Array(good.features, 'embs')).data;
  ids = (await readInt32Array(good.knn)).data;
});

/** Bad usage or input: exit code 2, one line on stderr, nothing on stdout. */
function assertRefused({ code, stdout, stderr }: Outcome, message: RegExp): void {
  assert.match(stderr, message);
  assert.match(stderr, /^naan [a-z-]+: [^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(code, 2);
}

let outs = 0;

async function refusesLabel(changed: Partial<Inputs>, message: RegExp, args: string[] = hops): Promise<void> {
  const out = at(`out${outs++}`);
  assertRefused(await naan([...labelFlags({ ...good, ...changed }, out), '--quiet', ...args]), message);
  assert.ok(!existsSync(out), 'nothing is written');
}

function truncated(path: string, name: string): string {
  copyFileSync(path, at(name));
  truncateSync(at(name), Math.floor(readFileSync(path).length / 2));
  return at(name);
}

async function withValue(index: number, value: number, name: string): Promise<string> {
  const changed = rows.slice();
  changed[index] = value;
  await writeNpy(at(name), 'f4', [n, d], changed);
  return at(name);
}

async function withId(index: number, id: number, name: string): Promise<string> {
  const changed = ids.slice();
  changed[index] = id;
  await writeNpy(at(name), 'i4', [n, columns], changed);
  return at(name);
}

test('a file that is not there', async () => {
  for (const input of ['features', 'knn', 'model'] as const) {
    await refusesLabel({ [input]: at('none.npy') }, /none\.npy: .*no such file/);
  }
});

test('a folder in place of a file', async () => {
  await refusesLabel({ features: folder }, /naan-cli-/);
});

test('a truncated .npz, .npy or model', async () => {
  await refusesLabel({ features: truncated(good.features, 'short.npz') }, /short\.npz/);
  await refusesLabel({ knn: truncated(good.knn, 'short.npy') }, /short\.npy/);
  await refusesLabel({ model: truncated(good.model, 'short.safetensors') }, /short\.safetensors/);
});

test('an archive without embs', async () => {
  await writeNpz(at('other.npz'), (add) =>
    add('faces', 'f4', [n, d], rows).then(() => add('more', 'f4', [n, d], rows)),
  );
  await refusesLabel({ features: at('other.npz') }, /other\.npz: .*embs/);
});

test('text where an array is expected', async () => {
  writeFileSync(at('text.npy'), 'not an array');
  await refusesLabel({ features: at('text.npy') }, /text\.npy/);
  await refusesLabel({ knn: at('text.npy') }, /text\.npy/);
  await refusesLabel({ model: at('text.npy') }, /text\.npy/);
});

test('a value that is no number names file and row', async () => {
  await refusesLabel({ features: await withValue(100 * d + 3, Number.NaN, 'nan.npy') }, /nan\.npy: row 100\b.*NaN/);
  await refusesLabel(
    { features: await withValue(7 * d, Number.POSITIVE_INFINITY, 'inf.npy') },
    /inf\.npy: row 7\b.*Infinity/,
  );
});

test('a row of zeros names file and row', async () => {
  await writeNpy(at('zero.npy'), 'f4', [n, d], rows.slice().fill(0, 9 * d, 10 * d));
  await refusesLabel({ features: at('zero.npy') }, /zero\.npy: row 9\b/);
});

test('a dimension that is not that of the model', async () => {
  await writeNpy(at('narrow.npy'), 'f4', [n * 2, d / 2], rows);
  await refusesLabel({ features: at('narrow.npy') }, /narrow\.npy: .*\b16\b.*\b32\b/);
});

test('a neighbour id out of range names file, row and id', async () => {
  await refusesLabel({ knn: await withId(5 * columns + 2, n, 'far.npy') }, /far\.npy: row 5, .*\b165\b/);
  await refusesLabel({ knn: await withId(6 * columns + 2, -2, 'negative.npy') }, /negative\.npy: row 6, .*-2\b/);
});

test('a graph of fewer rows than there are features', async () => {
  await writeNpy(at('fewer.npy'), 'i4', [100, columns], ids.map((id) => id % 100).slice(0, 100 * columns));
  await refusesLabel({ knn: at('fewer.npy') }, /\b100\b.*\b165\b/);
});

test('hops that the graph does not have', async () => {
  await refusesLabel({}, /\b20\b.*\b21\b|\b21\b.*\b20\b/, ['--k-hops', '21', '4', '--sample-hops', '8']);
  await refusesLabel({}, /\b20\b.*\b50\b|\b50\b.*\b20\b/, ['--k-hops', '10', '4', '--sample-hops', '50']);
});

test('a model that lacks a tensor, or has one of another shape', async () => {
  const { metadata, tensors } = readSafetensors(good.model);
  const without = new Map(tensors);
  without.delete('classifier.1.weight');
  await writeSafetensors(at('lacking.safetensors'), { metadata, tensors: without });
  await refusesLabel({ model: at('lacking.safetensors') }, /lacking\.safetensors: .*classifier\.1\.weight.*missing/);
  const other = new Map(tensors).set('classifier.1.weight', { shape: [3], data: new Float32Array(3) });
  await writeSafetensors(at('misshapen.safetensors'), { metadata, tensors: other });
  await refusesLabel({ model: at('misshapen.safetensors') }, /misshapen\.safetensors: .*classifier\.1\.weight.*3.*32/);
});

test('a raw file whose size does not fit --dim', async () => {
  writeFileSync(at('raw.bin'), Buffer.from(rows.buffer, rows.byteOffset, 1000));
  await refusesLabel({ features: at('raw.bin') }, /raw\.bin: .*1000 bytes/, [...hops, '--dim', '32']);
});

test('an output folder that cannot be', async () => {
  writeFileSync(at('file'), '');
  const under = await naan([...labelFlags(good, join(at('file'), 'out')), ...hops, '--quiet']);
  assertRefused(under, /file\/out\/split1_labels\.txt: .*not a directory/);
});

test('an output folder that may not be written to', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may write anywhere');
  writeFileSync(at('kept'), '');
  chmodSync(folder, 0o500);
  t.after(() => chmodSync(folder, 0o700));
  assertRefused(await naan([...labelFlags(good, at('forbidden')), ...hops, '--quiet']), /permission denied/);
});

test('labels and truth of different lengths', async () => {
  writeFileSync(at('shorter.txt'), '0\n1\n');
  assertRefused(await naan(['evaluate', '--labels', at('shorter.txt'), '--truth', good.truth]), /\b2\b.*\b165\b/);
});

test('a line without a label', async () => {
  writeFileSync(at('gap.txt'), '0\n\none\n');
  assertRefused(
    await naan(['evaluate', '--labels', at('gap.txt'), '--truth', good.truth]),
    /gap\.txt: line 2 is blank/,
  );
});

test('scores of another length than the edges', async () => {
  await writeNpy(at('edges.npy'), 'i4', [2, 2], Int32Array.of(0, 1, 1, 2));
  await writeNpy(at('scores.npy'), 'f4', [3], Float32Array.of(0.5, 0.5, 0.5));
  assertRefused(
    await naan(['sweep', '--edges', at('edges.npy'), '--scores', at('scores.npy')]),
    /\b3\b.*\b2\b|\b2\b.*\b3\b/,
  );
});

test('a checkpoint that is none', async () => {
  writeFileSync(at('none.ckpt'), 'hello');
  assertRefused(await naan(['import-model', at('none.ckpt'), '--out', at('none.safetensors')]), /none\.ckpt/);
  assert.ok(!existsSync(at('none.safetensors')));
});

test('a bad option is refused before any file is looked at', async () => {
  const nowhere = { features: 'F', knn: 'K', model: 'M', truth: '' };
  const refused = (args: string[], environment: Record<string, string> = {}) =>
    naan([...labelFlags(nowhere, at('early')), ...args], { environment });
  assertRefused(await refused(['--threads', '12abc']), /^naan label: --threads: got '12abc', expected an integer/);
  assertRefused(await refused([], { NAAN_BATCH: 'x' }), /^naan label: NAAN_BATCH: got 'x'/);
  assertRefused(await naan(['label', '--features', 'F']), /--out \(or NAAN_OUT\) is missing/);
  assert.ok(!existsSync(at('early')));
});

test('a stack trace is shown only when asked for', async () => {
  const flags = labelFlags({ ...good, knn: at('none.npy') }, at('stack'));
  const { stderr, code } = await naan([...flags, ...hops, '--log-level', 'debug']);
  assert.equal(code, 2);
  assert.match(stderr, /\n {4}at /);
});
