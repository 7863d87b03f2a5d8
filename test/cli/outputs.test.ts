/** No command replaces what it reads, or what is not its own to replace. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generate } from '../../src/jobs/generate.js';
import { label } from '../../src/jobs/label.js';
import { train } from '../../src/jobs/train.js';
import { fixtureInputs, type Inputs } from './inputs.js';
import { naan, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (...names: string[]) => join(folder, ...names);
let inputs: Inputs;
before(async () => {
  inputs = await fixtureInputs(folder);
});

/** Exit code 2, one line on stderr, and `file` as it was. */
async function refuses(args: readonly string[], file: string, message: RegExp): Promise<void> {
  const was = readFileSync(file);
  const { code, stdout, stderr } = await naan([...args, '--quiet']);
  assert.match(stderr, message);
  assert.match(stderr, /^naan [a-z-]+: [^\n]+\n$/);
  assert.equal(stdout, '');
  assert.equal(code, 2);
  assert.ok(readFileSync(file).equals(was));
}

test('knn: neither its features nor a file that is no graph', async () => {
  const features = at('in.npz');
  copyFileSync(inputs.features, features);
  const command = (out: string) => ['knn', '--features', features, '--k', '5', '--out', out];
  await refuses([...command(features), '--overwrite'], features, /--out would replace the features/);
  linkSync(features, at('hard.npz'));
  await refuses(command(at('hard.npz')), features, /--out would replace the features \(.*in\.npz\)/);
  await refuses(command(inputs.truth), inputs.truth, /labels\.txt: is there already and is no kNN graph/);
  for (let i = 0; i < 2; i++) assert.equal((await naan(command(at('graph.npy')))).code, 0, 'a graph is replaced');
});

test('import-model, evaluate and tune', async () => {
  const { features, knn, model, truth } = inputs;
  const checkpoint = at('zip.ckpt');
  copyFileSync('test/fixtures/one_head/zip.ckpt', checkpoint);
  await refuses(['import-model', checkpoint, '--out', checkpoint], checkpoint, /--out would replace the checkpoint/);
  const evaluate = ['evaluate', '--labels', at('labels.txt'), '--truth', truth];
  copyFileSync(truth, at('labels.txt'));
  await refuses([...evaluate, '--clean-out', truth], truth, /--clean-out would replace the truth/);
  copyFileSync(truth, at('mine.txt'));
  await refuses([...evaluate, '--clean-out', at('mine.txt')], at('mine.txt'), /may be labels by hand.*--overwrite/);
  assert.equal((await naan([...evaluate, '--clean-out', at('mine.txt'), '--overwrite'])).code, 0);
  writeFileSync(at('c.yaml'), 'dim: 32\n');
  const tune = ['tune', '--features', features, '--knn', knn, '--model', model];
  const both = [...tune, '--config', at('c.yaml'), '--out', at('c.yaml')];
  await refuses(both, at('c.yaml'), /--out would replace the config/);
  await refuses([...tune, '--out', at('c.yaml')], at('c.yaml'), /is no setting that naan tune found/);
});

test('label into the folder of the truth: it stays, until told otherwise', async () => {
  const { features, knn, model, truth } = inputs;
  const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
  const flags = ['label', '--features', features, '--knn', knn, '--model', model, '--out', folder, ...hops];
  await refuses(flags, truth, /split1_labels\.txt: is there already and naan did not write it.*--overwrite/);

  const out = at('labels');
  const options = { features, knn, model, out, kHops: [10, 4], sampleHops: 8, threads: 1 } as const;
  const labels = join(out, 'split1_labels.txt');
  await label(options);
  const written = readFileSync(labels, 'utf8');
  const { outputs } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  assert.deepEqual(
    outputs.map(({ name, bytes }: { name: string; bytes: number }) => [name, bytes]),
    [
      ['split1_labels.txt', written.length],
      ['split1_labels.npy', 128 + 8 * 165],
      ['split1_margins.npy', 128 + 4 * 165],
      ['clusters.csv', readFileSync(join(out, 'clusters.csv')).length],
    ],
  );
  await label({ ...options, saveEdges: true });
  await label(options);
  await label({ ...options, saveEdges: true });

  writeFileSync(labels, written.replace(/\d\n/, '9\n'));
  await assert.rejects(label(options), { code: 'BAD_USAGE', message: /split1_labels\.txt: is there already/ });
  assert.notEqual(readFileSync(labels, 'utf8'), written);
  await label({ ...options, overwrite: true });
  assert.equal(readFileSync(labels, 'utf8'), written);

  copyFileSync(knn, join(out, 'split1_labels.npy'));
  const clash = label({ ...options, knn: join(out, 'split1_labels.npy'), overwrite: true });
  await assert.rejects(clash, { code: 'BAD_USAGE', message: /--out would replace the knn/ });
});

test('generate and train', async () => {
  const out = at('set');
  const small = { out, ids: 4, dim: 8, k: 3 };
  mkdirSync(at('set', 'unlabeled'), { recursive: true });
  writeFileSync(at('set', 'unlabeled', 'split1_labels.txt'), 'by hand\n');
  await assert.rejects(generate(small), { code: 'BAD_USAGE', message: /split1_labels\.txt: is there already/ });
  assert.deepEqual(readdirSync(out), ['unlabeled']);
  await generate({ ...small, overwrite: true });

  const features = at('set', 'labeled', 'split0_feats.npz');
  const knn = at('set', 'labeled', 'split0_knn.npy');
  const refused = (more: object, message: RegExp) =>
    assert.rejects(train({ features, knn, out: at('new', 'model'), ...more }), { message });
  await refused({ out: features, overwrite: true }, /--out would replace the features/);
  await refused({ history: knn, overwrite: true }, /--history would replace the knn/);
  await refused({ history: at('new', 'model') }, /would be written twice, by --out and --history/);
  await refused({ history: inputs.truth }, /is no history of naan/);
  await refused({ out: inputs.truth }, /is no model of naan/);
  await refused({ history: '/proc/nowhere/train.json' }, /cannot be written/);
  assert.ok(!existsSync(at('new')), 'nothing is made');
});
