import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { readModel, writeModel } from '../../src/model/model-file.js';
import { fixtureInputs, type Inputs, labelFlags } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

/** Runs and returns the labels as text. */
async function labels(name: string, args: string[], environment: Record<string, string> = {}): Promise<string> {
  const out = join(folder, name);
  const { code, stderr } = await naan([...labelFlags(inputs, out), ...hops, ...args], { environment });
  assert.equal(code, 0, stderr);
  return readFileSync(join(out, 'split1_labels.txt'), 'utf8');
}

test('label --json prints exactly one JSON object, with the keys the manual gives', async () => {
  const out = join(folder, 'json');
  const { code, stdout } = await naan([...labelFlags(inputs, out), ...hops, '--json', '--threads', '2']);
  assert.equal(code, 0);
  assert.match(stdout, /^\{[^\n]*\}\n$/);
  const summary = JSON.parse(stdout);
  const keys = [
    'nodes',
    'copies',
    'badRows',
    'edges',
    'clusters',
    'singletons',
    'unlabelled',
    'largest',
    'partition',
    'partitionFrom',
    'threshold',
    'thresholdFrom',
    'seconds',
    'peakRssBytes',
  ];
  assert.deepEqual(Object.keys(summary).sort(), keys.sort());
  assert.deepEqual(Object.keys(summary.seconds).sort(), ['stages', 'total']);
  assert.equal(summary.nodes, 165);
  assert.equal(summary.edges, 825);
  assert.ok(summary.seconds.total > 0 && summary.peakRssBytes > 1e6);
});

test('label writes labels as text and int64, and run.json; with --save-edges also edges and scores', async () => {
  const text = await labels('files', ['--save-edges']);
  const out = join(folder, 'files');
  assert.deepEqual(readdirSync(out).sort(), [
    'clusters.csv',
    'report.html',
    'run.json',
    'split1_edges.npy',
    'split1_labels.npy',
    'split1_labels.txt',
    'split1_margins.npy',
    'split1_scores.npy',
  ]);
  const lines = text.trimEnd().split('\n').map(Number);
  assert.equal(lines.length, 165);
  const { data: values } = await readInt32Array(join(out, 'split1_labels.npy'));
  assert.deepEqual([...values], lines);
  const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  assert.equal(run.nodes, 165);
  assert.equal(run.engine.backend, 'native');
  assert.equal(run.optionSources.saveEdges, '--save-edges');
  assert.equal(run.optionSources.step, 'default');
});

test('a person gets a short table', async () => {
  const { code, stdout } = await naan([...labelFlags(inputs, join(folder, 'table')), ...hops]);
  assert.equal(code, 0);
  assert.match(stdout, /^nodes +165$/m);
  assert.match(stdout, /^candidate edges +825$/m);
  assert.match(stdout, /^clusters +\d+$/m);
});

test('options reach the engine: other settings, other labels; the machine changes nothing', async () => {
  const strict = ['--threshold', '0.5', '--step', '0.1', '--max-size', '8'];
  const expected = await labels('plain', strict);
  assert.equal(await labels('threads', [...strict, '--threads', '1', '--shards', '5', '--batch', '7']), expected);
  assert.equal(
    await labels('environment', [], { NAAN_THRESHOLD: '.5', NAAN_STEP: '0.1', NAAN_MAX_SIZE: '8' }),
    expected,
  );
  assert.notEqual(await labels('loose', ['--threshold', '0.5', '--partition', 'threshold']), expected);
});

test('what was calibrated with the model holds unless told otherwise, and label says so', async () => {
  const { tensors, config } = await readModel(inputs.model);
  const model = join(folder, 'calibrated.safetensors');
  const thresholds = { linkage: 0.45, threshold: 0.55 };
  await writeModel(model, { tensors, config: { ...config, partition: 'linkage', threshold: 0.45, thresholds } });
  const run = async (name: string, args: string[]) => {
    const flags = [...labelFlags({ ...inputs, model }, join(folder, name)), ...hops];
    const { stdout, stderr, code } = await naan([...flags, ...args]);
    assert.equal(code, 0, stderr);
    const { options, ...recorded } = JSON.parse(readFileSync(join(folder, name, 'run.json'), 'utf8'));
    const { partition, partitionFrom, threshold, thresholdFrom } = recorded;
    assert.deepEqual([partition, threshold], [options.partition, options.threshold]);
    return { stdout, chosen: [partition, partitionFrom, threshold, thresholdFrom] };
  };
  const calibrated = await run('calibrated', []);
  assert.deepEqual(calibrated.chosen, ['linkage', 'calibrated', 0.45, 'calibrated']);
  assert.match(calibrated.stdout, /^partition +linkage$/m);
  assert.match(calibrated.stdout, /^threshold +0\.450$[\s\S]*^partition and threshold are calibrated with the model$/m);
  const other = await run('other', ['--partition', 'threshold', '--json']);
  assert.deepEqual(other.chosen, ['threshold', 'given', 0.55, 'calibrated']);
  const { partition, partitionFrom, threshold, thresholdFrom } = JSON.parse(other.stdout);
  assert.deepEqual([partition, partitionFrom, threshold, thresholdFrom], other.chosen);
  const told = await run('told', ['--threshold', '0.5']);
  assert.deepEqual(told.chosen, ['linkage', 'calibrated', 0.5, 'given']);
  assert.match(told.stdout, /^threshold +0\.500$/m);
  assert.match(told.stdout, /^the partition is calibrated with the model, the threshold as given$/m);
});

test('a threshold of another partition is not taken: label refuses and says what to give', async () => {
  const { tensors, config } = await readModel(inputs.model);
  const model = join(folder, 'linkage-only.safetensors');
  await writeModel(model, { tensors, config: { ...config, partition: 'linkage', threshold: 0.45 } });
  const flags = (out: string) => [...labelFlags({ ...inputs, model }, join(folder, out)), ...hops];
  const refused = await naan([...flags('refused'), '--partition', 'threshold']);
  assert.equal(refused.code, 2);
  assert.equal(
    refused.stderr,
    `naan label: ${model}: has no threshold for the partition threshold, only for linkage (0.45): give --threshold, or --partition linkage\n`,
  );
  const given = await naan([...flags('given'), '--partition', 'threshold', '--threshold', '0.5']);
  assert.equal(given.code, 0, given.stderr);
});

test('--quiet keeps stderr empty, and progress goes to stderr otherwise', async () => {
  const quiet = await naan([...labelFlags(inputs, join(folder, 'quiet')), ...hops, '--quiet']);
  assert.equal(quiet.stderr, '');
  const loud = await naan([...labelFlags(inputs, join(folder, 'loud')), ...hops]);
  assert.match(loud.stderr, /^\S+Z \w+ +\d+ %/m);
  assert.match(loud.stdout, /^partition and threshold are by default$/m);
});

test('a notice is a line of text like any other, and the log level or --quiet leaves it out', async () => {
  const { data, shape } = await readFloat32Array(inputs.features, 'embs');
  const features = join(folder, 'long_feats.npy');
  await writeNpy(
    features,
    'f4',
    shape,
    data.map((value) => 3 * value),
  );
  const run = (...args: string[]) =>
    naan([...labelFlags({ ...inputs, features }, join(folder, 'noticed')), ...hops, ...args]);
  const notice = /^naan label: \S+long_feats\.npy: 165 rows were not unit vectors and were normalised$/m;
  assert.match((await run()).stderr, notice);
  const errors = await run('--log-level', 'error');
  assert.doesNotMatch(errors.stderr, /normalised/);
  assert.equal((await run('--quiet')).stderr, '');
  const debug = await run('--log-level', 'debug');
  assert.match(debug.stderr, notice);
  assert.match(debug.stderr, /^naan label: options \{"values":\{"features":/m);
});

test('without --knn the graph is found first: labels as with the graph of naan knn, which --save-knn keeps', async () => {
  const made = join(folder, 'made_knn.npy');
  const knn = await naan(['knn', '--features', inputs.features, '--out', made, '--k', '10']);
  assert.equal(knn.code, 0, knn.stderr);
  const given = join(folder, 'given');
  const expected = await naan([...labelFlags({ ...inputs, knn: made }, given), ...hops]);
  assert.equal(expected.code, 0, expected.stderr);
  const labelsIn = (name: string) => readFileSync(join(folder, name, 'split1_labels.txt'), 'utf8');

  const flags = ['label', '--features', inputs.features, '--model', inputs.model, ...hops];
  const kept = join(folder, 'kept_knn.npy');
  for (const [name, args] of [
    ['found', []],
    ['kept', ['--save-knn', kept]],
    ['worked', ['--save-knn', kept, '--work-dir', join(folder, 'found-work')]],
    ['alone', ['--work-dir', join(folder, 'found-work')]],
  ] as const) {
    const { code, stderr, stdout } = await naan([...flags, '--out', join(folder, name), ...args]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^neighbours found +10 by exact$/m);
    assert.match(stderr, /before that [\d.]+ to find the kNN graph/);
    assert.equal(labelsIn(name), labelsIn('given'), name);
  }
  assert.deepEqual(readFileSync(kept), readFileSync(made));
  const run = JSON.parse(readFileSync(join(folder, 'found', 'run.json'), 'utf8'));
  assert.deepEqual([run.search, run.options.knn], [{ k: 10, method: 'exact', recall: 1 }, 'in memory']);

  const out = ['--out', join(folder, 'refused')];
  const both = await naan([...flags, ...out, '--knn', made, '--save-knn', kept]);
  assert.deepEqual(
    [both.code, /save-knn: keeps a graph that is found, but knn gives one/.test(both.stderr)],
    [2, true],
  );
  const own = await naan([...flags, ...out, '--save-knn', inputs.features]);
  assert.deepEqual([own.code, /--save-knn would replace the features/.test(own.stderr)], [2, true]);
  const small = await naan([...flags, ...out, '--memory', '60MiB']);
  assert.deepEqual([small.code, /takes [\d.]+ GiB of memory to find/.test(small.stderr)], [3, true]);
});
