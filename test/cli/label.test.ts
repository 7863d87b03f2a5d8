import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readInt32Array } from '../../src/io/arrays.js';
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
    'edges',
    'clusters',
    'singletons',
    'unlabelled',
    'largest',
    'threshold',
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
    'run.json',
    'split1_edges.npy',
    'split1_labels.npy',
    'split1_labels.txt',
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
    const { stdout, stderr, code } = await naan([
      ...labelFlags({ ...inputs, model }, join(folder, name)),
      ...hops,
      ...args,
    ]);
    assert.equal(code, 0, stderr);
    const { options } = JSON.parse(readFileSync(join(folder, name, 'run.json'), 'utf8'));
    return { stdout, chosen: [options.partition, options.threshold] };
  };
  const calibrated = await run('calibrated', []);
  assert.deepEqual(calibrated.chosen, ['linkage', 0.45]);
  assert.match(calibrated.stdout, /^partition +linkage$/m);
  assert.match(calibrated.stdout, /^threshold +0\.450$[\s\S]*^the threshold is the one calibrated with the model$/m);
  assert.deepEqual((await run('other', ['--partition', 'threshold'])).chosen, ['threshold', 0.55]);
  const told = await run('told', ['--threshold', '0.5']);
  assert.deepEqual(told.chosen, ['linkage', 0.5]);
  assert.match(told.stdout, /^threshold +0\.500$/m);
  assert.doesNotMatch(told.stdout, /calibrated/);
});

test('--quiet keeps stderr empty, and progress goes to stderr otherwise', async () => {
  const quiet = await naan([...labelFlags(inputs, join(folder, 'quiet')), ...hops, '--quiet']);
  assert.equal(quiet.stderr, '');
  const loud = await naan([...labelFlags(inputs, join(folder, 'loud')), ...hops]);
  assert.match(loud.stderr, /^\w+ +\d+ %/m);
});
