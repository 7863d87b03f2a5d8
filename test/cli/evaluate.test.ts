import assert from 'node:assert/strict';
import { copyFileSync, linkSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writeNpz } from '../../src/io/npy-writer.js';
import { python } from '../io/python.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (name: string) => join(folder, name);
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

async function json(args: string[]) {
  const { code, stdout, stderr } = await naan([...args, '--json']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\{[^\n]*\}\n$/);
  return JSON.parse(stdout);
}

test('evaluate prints the measures of the stored case, as JSON of the shape the manual gives', async () => {
  const { propagation } = JSON.parse(readFileSync('test/fixtures/one_head/expected.json', 'utf8'));
  const stored = propagation.find((one: { clusters: number }) => one.clusters > 40);
  writeFileSync(at('labels.txt'), `${stored.labels.join('\n')}\n`);
  const found = await json(['evaluate', '--labels', at('labels.txt'), '--truth', inputs.truth]);
  assert.deepEqual(Object.keys(found).sort(), [
    'all',
    'clusters',
    'discardRatio',
    'identities',
    'purity',
    'singletons',
    'withoutSingletons',
  ]);
  const { bcubed, pairwise, nmi } = found.all;
  for (const [measure, expected] of [
    [bcubed, stored.bcubed],
    [pairwise, stored.pairwise],
  ]) {
    [measure.precision, measure.recall, measure.f].forEach((value, i) => {
      assert.ok(Math.abs(value - expected[i]) < 1e-12, `${value} ${expected[i]}`);
    });
  }
  assert.ok(nmi > 0 && nmi < 1);
  assert.equal(found.clusters, stored.clusters);
  assert.equal(found.singletons, stored.singletons);

  const { code, stdout } = await naan(['evaluate', '--labels', at('labels.txt'), '--truth', inputs.truth]);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`^all rows: BCubed +${stored.bcubed[0].toFixed(4)}`, 'm'));
});

test('evaluate counts -1 as asked, takes the features as truth, and writes cleaned labels', async () => {
  writeFileSync(at('two.txt'), '0\n0\n-1\n-1\n5\n');
  writeFileSync(at('truth.txt'), '0\n0\n1\n1\n1\n');
  const clusters = async (...args: string[]) =>
    (await json(['evaluate', '--labels', at('two.txt'), '--truth', at('truth.txt'), ...args])).all.bcubed.recall;
  assert.ok((await clusters('--unlabelled', 'cluster')) > (await clusters()));
  await clusters('--clean-out', at('clean.txt'));
  assert.equal(readFileSync(at('clean.txt'), 'utf8'), '0\n0\n-1\n-1\n-1\n');

  const same = await json(['evaluate', '--labels', inputs.features, '--truth', inputs.truth]);
  assert.equal(same.all.bcubed.f, 1);
});

test('labels of any names are evaluated, cleaned and swept as numbers are', async () => {
  const truth = readFileSync(inputs.truth, 'utf8').trimEnd().split('\n');
  writeFileSync(at('names.csv'), `row,person\n${truth.map((id, row) => `${row},"Person, ${id}"\n`).join('')}`);
  const named = await json(['evaluate', '--labels', `${at('names.csv')}:person`, '--truth', inputs.truth]);
  assert.deepEqual(named, await json(['evaluate', '--labels', inputs.truth, '--truth', at('names.csv')]));
  assert.equal(named.all.bcubed.f, 1);

  writeFileSync(at('few.txt'), '1000000000000\nanna\n1000000000000\n-1\nbob\nanna\n');
  await json(['evaluate', '--labels', at('few.txt'), '--truth', at('few.txt'), '--clean-out', at('few-clean.txt')]);
  assert.equal(readFileSync(at('few-clean.txt'), 'utf8'), '1000000000000\nanna\n1000000000000\n-1\n-1\nanna\n');

  await writeNpz(at('scored.npz'), async (add) => {
    await add('edges', 'i4', [2, 2], (append) => append(Int32Array.of(0, 1, 1, 2)));
    await add('scores', 'f4', [2], (append) => append(Float32Array.of(0.5, 0.25)));
  });
  const swept = ['sweep', '--edges', at('scored.npz'), '--scores', at('scored.npz'), '--truth'];
  writeFileSync(at('three.txt'), 'anna\nanna\nbob\n');
  writeFileSync(at('numbers.txt'), '0\n0\n1\n');
  assert.deepEqual(await json([...swept, at('three.txt')]), await json([...swept, at('numbers.txt')]));
});

test('labels to train on need no truth', async () => {
  writeFileSync(at('three-rows.txt'), '7\n7\n9\n');
  const cleaned = await naan(['evaluate', '--labels', at('three-rows.txt'), '--clean-out', at('without-truth.txt')]);
  assert.equal(cleaned.code, 0, cleaned.stderr);
  assert.equal(readFileSync(at('without-truth.txt'), 'utf8'), '0\n0\n-1\n');
  const neither = await naan(['evaluate', '--labels', at('three-rows.txt')]);
  assert.equal(neither.code, 2);
  assert.match(neither.stderr, /--truth \(or NAAN_TRUTH\) is missing/);
});

/** Reads as the authors' joint training reads its meta_file: line i is the class of image i, and there are as many as differ but for -1. */
const jointTraining = `
import json, sys
classes = [int(line.split('\\n')[0]) for line in open(sys.argv[1])]
kept = [c for c in classes if c != -1]
print(json.dumps([len(classes), len(set(kept)), min(kept), max(kept)]))
`;

test('labels, and those to train on, are what the joint training of the paper reads', async () => {
  const out = at('joint');
  const labelled = await naan([...labelFlags(inputs, out), '--k-hops', '10', '4', '--sample-hops', '8', '--json']);
  assert.equal(labelled.code, 0, labelled.stderr);
  const { nodes, clusters, singletons } = JSON.parse(labelled.stdout);
  assert.ok(singletons > 0);
  const [labels, clean] = ['split1_labels.txt', 'split1_labels_clean.txt'].map((name) => join(out, name));
  await naan(['evaluate', '--labels', labels, '--clean-out', clean]);
  assert.deepEqual(JSON.parse(python(jointTraining, labels)), [nodes, clusters, 0, clusters - 1]);
  const kept = clusters - singletons;
  assert.deepEqual(JSON.parse(python(jointTraining, clean)), [nodes, kept, 0, kept - 1]);
});

test('sweep goes over every threshold from the edges that label saved', async () => {
  const out = at('saved');
  const labelled = await naan([
    ...labelFlags(inputs, out),
    '--k-hops',
    '10',
    '4',
    '--sample-hops',
    '8',
    '--save-edges',
  ]);
  assert.equal(labelled.code, 0, labelled.stderr);
  const args = ['sweep', '--edges', join(out, 'split1_edges.npy'), '--scores', join(out, 'split1_scores.npy')];
  const plain = await json(args);
  assert.equal(plain.edges, 825);
  assert.ok(!('best' in plain));
  const { points, best } = await json([...args, '--truth', inputs.truth]);
  assert.equal(points.length, 101);
  assert.equal(best.bcubed.f, Math.max(...points.map((point: { bcubed: { f: number } }) => point.bcubed.f)));

  // By another partition: what cut gives at one threshold.
  const { points: byLinkage } = await json([...args, '--partition', 'linkage', '--truth', inputs.truth]);
  const cutAt = ['--threshold', '0.9', '--partition', 'linkage', '--rows', '165', '--out', at('linkage.txt')];
  const linked = await json(['cut', ...args.slice(1), ...cutAt]);
  const point = byLinkage.find(({ threshold }: { threshold: number }) => threshold === 0.9);
  assert.deepEqual(
    [point.clusters, point.singletons, point.largest],
    [linked.clusters, linked.singletons, linked.largest],
  );
  const ofLinkage = await json(['evaluate', '--labels', at('linkage.txt'), '--truth', inputs.truth]);
  assert.deepEqual(point.bcubed, ofLinkage.all.bcubed);

  // One of the points against the labels that the same threshold gives.
  const at90 = points.find((point: { threshold: number }) => point.threshold === 0.9);
  const cut = [
    ...labelFlags(inputs, at('cut')),
    '--k-hops',
    '10',
    '4',
    '--sample-hops',
    '8',
    '--partition',
    'threshold',
    '--threshold',
    '0.9',
  ];
  const summary = await json(cut);
  assert.equal(at90.clusters, summary.clusters);
  assert.equal(at90.largest, summary.largest);
  const judged = await json(['evaluate', '--labels', join(at('cut'), 'split1_labels.txt'), '--truth', inputs.truth]);
  assert.ok(Math.abs(at90.bcubed.f - judged.all.bcubed.f) < 1e-12);

  const { stdout } = await naan([...args, '--truth', inputs.truth]);
  const bar = '█'.repeat(Math.round(24 * best.bcubed.f));
  assert.match(stdout, new RegExp(`^${best.threshold.toFixed(2)} best .*  ${bar}$`, 'm'));
});

test('evaluate says what each --min-trust keeps', async () => {
  const [labels, clusters] = [join(at('saved'), 'split1_labels.txt'), join(at('saved'), 'clusters.csv')];
  const args = ['--labels', labels, '--truth', inputs.truth, '--unlabelled', 'drop'];
  const { all, byTrust } = await json(['evaluate', ...args, '--clusters', clusters]);
  const last = byTrust.at(-1);
  assert.ok(byTrust.length > 5 && last.share === 1);
  assert.ok(Math.abs(last.bcubed.f - all.bcubed.f) < 1e-12);
  const { code, stdout } = await naan(['evaluate', ...args, '--clusters', clusters]);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`^ *${last.trust.toFixed(4)} +1\\.0000 +${last.bcubed.precision.toFixed(4)}`, 'm'));

  const other = await naan(['evaluate', '--labels', inputs.truth, '--truth', inputs.truth, '--clusters', clusters]);
  assert.equal(other.code, 2);
  assert.match(other.stderr, /clusters\.csv: is of other labels than/);
});

test('import-model reads both torch formats alike', async () => {
  const zip = await json(['import-model', 'test/fixtures/one_head/zip.ckpt', '--out', at('zip.safetensors')]);
  const legacy = await json([
    'import-model',
    'test/fixtures/one_head/legacy_dataparallel.ckpt',
    '--out',
    at('legacy.safetensors'),
  ]);
  assert.deepEqual([zip.dim, zip.heads, zip.k1, zip.k2, zip.sampleHops], [32, 1, 10, 4, 8]);
  assert.deepEqual([legacy.dim, legacy.heads, legacy.alpha], [zip.dim, zip.heads, zip.alpha]);
});

test('generate and knn make what the other commands read; the same seed gives the same bytes', async () => {
  const make = (out: string, ...args: string[]) =>
    json(['generate', '--out', at(out), '--ids', '30', '--dim', '32', '--k', '20', ...args]);
  const summary = await make('one');
  assert.equal(summary.unlabeled.identities, 30);
  await make('two');
  await make('other', '--seed', '2');
  const bytes = (out: string, name: string) => readFileSync(join(at(out), 'unlabeled', name));
  for (const name of ['split1_feats.npz', 'split1_knn.npy', 'split1_labels.txt']) {
    assert.deepEqual(bytes('one', name), bytes('two', name));
    assert.notDeepEqual(bytes('one', name), bytes('other', name));
  }
  const features = join(at('one'), 'unlabeled/split1_feats.npz');
  const found = await json(['knn', '--features', features, '--out', at('knn.npy'), '--k', '20']);
  assert.equal(found.nodes, summary.unlabeled.nodes);
  assert.deepEqual(readFileSync(at('knn.npy')), bytes('one', 'split1_knn.npy'));

  const made = { ...inputs, features, knn: at('knn.npy') };
  const labelled = await json([...labelFlags(made, at('labels'))]);
  assert.equal(labelled.nodes, summary.unlabeled.nodes);
});

test('a reader that goes away is nothing to complain about', async () => {
  const { child, ended } = start(['evaluate', '--labels', inputs.truth, '--truth', inputs.truth, '--quiet']);
  child.stdout.destroy();
  const { code, stderr } = await ended;
  assert.equal(stderr, '');
  assert.equal(code, 0);
});

test('evaluate says that labels and truth are one file, by whatever name', async () => {
  writeFileSync(at('once.txt'), '0\n0\n1\n');
  linkSync(at('once.txt'), at('again.txt'));
  symlinkSync(at('once.txt'), at('link.txt'));
  copyFileSync(at('once.txt'), at('copy.txt'));
  const evaluated = (truth: string) => naan(['evaluate', '--labels', at('once.txt'), '--truth', at(truth)]);
  for (const truth of ['once.txt', 'again.txt', 'link.txt']) {
    const { code, stderr } = await evaluated(truth);
    assert.equal(code, 0);
    assert.match(stderr, /^naan evaluate: .*once\.txt: the labels and the truth are one and the same.*\n$/);
  }
  assert.equal((await evaluated('copy.txt')).stderr, '');
});
