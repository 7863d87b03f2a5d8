import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeNpy } from '../../src/io/npy-writer.js';
import { temporaryFolder } from '../io/python.js';
import { naan } from './naan.js';

test('cut gives clusters of scores that were kept, and replaces no file unasked', async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  await writeNpy(at('edges.npy'), 'i4', [3, 2], Int32Array.of(0, 1, 1, 2, 3, 4));
  await writeNpy(at('scores.npy'), 'f4', [3], Float32Array.of(0.9, 0.4, 0.8));
  const cut = (...args: string[]) =>
    naan(['cut', '--edges', at('edges.npy'), '--scores', at('scores.npy'), '--out', at('labels.txt'), ...args]);

  const { code, stdout, stderr } = await cut('--threshold', '0.5', '--partition', 'threshold', '--rows', '6', '--json');
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    rows: 6,
    edges: 3,
    partition: 'threshold',
    threshold: 0.5,
    clusters: 3,
    singletons: 1,
    unlabelled: 1,
    largest: 2,
  });
  assert.equal(readFileSync(at('labels.txt'), 'utf8'), '0\n0\n1\n2\n2\n-1\n');

  writeFileSync(at('labels.txt'), 'by hand\n');
  const again = await cut('--threshold', '0.3', '--partition', 'threshold');
  assert.equal(again.code, 2);
  assert.match(again.stderr, /labels\.txt: is there already.*--overwrite/);
  assert.equal((await cut('--threshold', '0.3', '--partition', 'threshold', '--overwrite')).code, 0);
  assert.equal(readFileSync(at('labels.txt'), 'utf8'), '0\n0\n0\n1\n1\n');
});

test('cut gives labels at several thresholds, each what it gives alone, and sweep draws its curve', async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string) => join(folder, name);
  await writeNpy(at('edges.npy'), 'i4', [3, 2], Int32Array.of(0, 1, 1, 2, 3, 4));
  await writeNpy(at('scores.npy'), 'f4', [3], Float32Array.of(0.9, 0.4, 0.8));
  const saved = ['--edges', at('edges.npy'), '--scores', at('scores.npy')];
  const several = ['--threshold', '0.3,0.5', '0.85', '--partition', 'threshold', '--out', at('cut.txt')];
  const { code, stdout, stderr } = await naan(['cut', ...saved, ...several, '--json']);
  assert.equal(code, 0, stderr);
  const { cuts } = JSON.parse(stdout) as { cuts: { threshold: number; out: string; clusters: number }[] };
  assert.deepEqual(
    cuts.map(({ threshold, out, clusters }) => [threshold, out, clusters]),
    [
      [0.3, at('cut-0.3.txt'), 2],
      [0.5, at('cut-0.5.txt'), 3],
      [0.85, at('cut-0.85.txt'), 4],
    ],
  );
  assert.equal(readFileSync(at('cut-0.3.txt'), 'utf8'), '0\n0\n0\n1\n1\n');
  assert.equal(readFileSync(at('cut-0.85.txt'), 'utf8'), '0\n0\n1\n2\n3\n');
  writeFileSync(at('cut-0.5.txt'), 'by hand\n');
  assert.match((await naan(['cut', ...saved, ...several])).stderr, /cut-0\.3\.txt: is there already/);

  writeFileSync(at('truth.txt'), '0\n0\n0\n1\n1\n');
  const plotted = await naan(['sweep', ...saved, '--truth', at('truth.txt'), '--plot', at('curve.html')]);
  assert.equal(plotted.code, 0, plotted.stderr);
  assert.match(readFileSync(at('curve.html'), 'utf8'), /best BCubed F 1\.0000 at 0/);
});

test('cut and sweep give the clusters of the run whose scores they are, as its model counts absent pairs', async (t) => {
  const folder = temporaryFolder(t);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await naan([...args, '--json'], { cwd: folder });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  await run('generate', '--out', 'set', '--ids', '40', '--dim', '32', '--k', '10', '--seed', '1');
  const { threshold } = await run(
    'label',
    '--features',
    'set/unlabeled/split1_feats.npz',
    '--out',
    'run',
    '--save-edges',
  );
  const labels = readFileSync(join(folder, 'run/split1_labels.txt'), 'utf8');
  const rows = String(labels.trimEnd().split('\n').length);
  const saved = ['--edges', 'run/split1_edges.npy', '--scores', 'run/split1_scores.npy'];
  const { clusters } = await run('cut', ...saved, '--rows', rows, '--threshold', String(threshold), '--out', 'cut.txt');
  assert.equal(readFileSync(join(folder, 'cut.txt'), 'utf8'), labels);
  const { points } = await run('sweep', ...saved, '--partition', 'linkage');
  assert.equal(points.find((point: { threshold: number }) => point.threshold === threshold).clusters, clusters);
});
