/**
 * Rows that join a labelled set by `naan add`, beside a full run over all rows.
 *
 *     node dist/bench/add.js [--model model.safetensors] [--nodes 100000] [--dim 64] [--portions 10,1000,10000] [--method exact] [--folder DIR]
 *     node dist/bench/add.js --set SET/split1 --grow 5 [--model model.safetensors] [--folder DIR]
 *
 * The first: portions of several sizes into one generated set, processor seconds of whole processes (bash's `time`), beside a labelling of all rows
 * with the graph that `add` made; the share of rows in the same cluster of both, BCubed F of both. The full run is a search and such a labelling. Without
 * `--model` one is trained on 300 other identities of the same kind.
 *
 * The second: half of the rows of SET/split1_feats.npz in random order are labelled, the others join in as many equal portions, one after the
 * other; then `naan label` searches and labels all of them at once. Without `--model` by the general model.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { identitiesOf } from '../src/cluster/identities.js';
import { clustersOf, relabel } from '../src/cluster/relabel.js';
import { evaluate } from '../src/evaluation/evaluate.js';
import { RandomStream } from '../src/graph/random.js';
import { locateSource } from '../src/io/feature-source.js';
import { readLabels } from '../src/io/labels.js';
import { openRows, type RowReader } from '../src/io/matrix.js';
import { writeNpy } from '../src/io/npy-writer.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    nodes: { type: 'string', default: '100000' },
    dim: { type: 'string', default: '64' },
    portions: { type: 'string', default: '10,1000,10000' },
    method: { type: 'string', default: 'exact' },
    set: { type: 'string' },
    grow: { type: 'string', default: '5' },
    folder: { type: 'string' },
  },
});
const nodes = Number(values.nodes);
const main = resolve('dist/src/cli/main.js');
// The set and the model in a folder are used again, so sets of two sizes have two folders.
const folder = values.folder ?? join(tmpdir(), 'naan-add', values.set ? 'grown' : `${values.nodes}x${values.dim}`);
const at = (...names: string[]) => join(folder, ...names);
mkdirSync(folder, { recursive: true });

/** Runs a command; its processor seconds. */
function naan(...words: string[]): number {
  const timed = ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', process.execPath, main, ...words, '--quiet'];
  const { status, stderr } = spawnSync('bash', timed, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`naan ${words[0]} failed: ${stderr}`);
  const [user, system] = stderr.trimEnd().split('\n').at(-1)!.split(' ').map(Number);
  return user + system;
}

/** Some rows of a set as a file. */
async function rowsAt(name: string, reader: RowReader, rows: ArrayLike<number>): Promise<string> {
  const { dim } = reader;
  const some = new Float32Array(rows.length * dim);
  for (let i = 0; i < rows.length; i++) reader.read(rows[i], 1, some.subarray(i * dim, (i + 1) * dim));
  await writeNpy(at(name), 'f4', [rows.length, dim], some);
  return at(name);
}

function fresh(name: string): string {
  rmSync(at(name), { recursive: true, force: true });
  return at(name);
}

const range = (start: number, count: number) => Int32Array.from({ length: count }, (_, i) => start + i);
const labelsIn = async (run: string) => (await readLabels(join(run, 'features_labels.npy'))).codes;

async function portionsOfSizes(): Promise<void> {
  const portions = values.portions.split(',').map(Number);
  const model = values.model ?? at('model.safetensors');
  const kind = ['--dim', values.dim, '--k', '20', '--planted-knn', '--shuffle', '--seed', '3'];
  const rowsInAll = nodes + 1 + portions.reduce((sum, count) => sum + count, 0);
  if (!existsSync(at('set')))
    naan('generate', '--out', at('set'), '--nodes', String(rowsInAll), '--labeled-ids', '300', ...kind);
  if (!existsSync(model)) {
    const split = at('set', 'labeled', 'split0');
    naan('train', '--features', `${split}_feats.npz`, '--knn', `${split}_knn.npy`, '--out', model);
  }
  const split1 = at('set', 'unlabeled', 'split1');
  const truth = (await readLabels(`${split1}_labels.txt`)).codes;
  const reader = openRows(await locateSource(`${split1}_feats.npz`));

  const set = await rowsAt('rows.npy', reader, range(0, nodes));
  const search = naan(
    'knn',
    '--features',
    set,
    '--k',
    '20',
    '--method',
    values.method,
    '--out',
    at('knn.npy'),
    '--overwrite',
  );
  naan('label', '--features', set, '--knn', at('knn.npy'), '--model', model, '--out', fresh('run'));
  // The first run to go on from another keeps the scores of all rounds.
  naan('add', '--run', at('run'), '--features', await rowsAt('first.npy', reader, [nodes]), '--out', fresh('before'));

  const figures: object[] = [];
  let start = nodes + 1;
  for (const count of portions) {
    const added = fresh(`added-${count}`);
    const features = await rowsAt('new.npy', reader, range(start, count));
    const add = naan('add', '--run', at('before'), '--features', features, '--out', added);
    const whole = fresh(`whole-${count}`);
    const all = ['--features', join(added, 'features.npy'), '--knn', join(added, 'knn.npy')];
    const label = naan('label', ...all, '--model', model, '--out', whole);
    const [ofAdd, ofLabel] = await Promise.all([added, whole].map(labelsIn));
    const known = Int32Array.from([...truth.subarray(0, nodes + 1), ...truth.subarray(start, start + count)]);
    const { edges, scoredAnew } = JSON.parse(readFileSync(join(added, 'run.json'), 'utf8'));
    figures.push({
      rows: count,
      cpuSeconds: { add, label },
      edges,
      scoredAnew,
      sameCluster: shareAlike(ofAdd, ofLabel),
      bcubedF: [ofAdd, ofLabel].map((labels) => evaluate(labels, known).all.bcubed.f),
    });
    start += count;
  }
  reader.close();
  report(values.dim === '64' ? `add-${nodes}` : `add-${nodes}x${values.dim}`, {
    nodes,
    dim: Number(values.dim),
    method: values.method,
    cpuSecondsOfSearch: search,
    portions: figures,
  });
}

async function growth(split: string): Promise<void> {
  const parts = Number(values.grow);
  const truth = (await readLabels(`${split}_labels.txt`)).codes;
  const reader = openRows(await locateSource(`${split}_feats.npz`));
  const random = new RandomStream(7, 1, 0);
  const order = Float64Array.from({ length: reader.rowCount }, () => random.uniform());
  const rows = Int32Array.from(order.keys()).sort((a, b) => order[a] - order[b]);
  const model = values.model === undefined ? [] : ['--model', values.model];
  const start = rows.length >> 1;
  const first = await rowsAt('features.npy', reader, rows.subarray(0, start));
  let cpu = naan(
    'label',
    '--features',
    first,
    '--save-knn',
    at('knn.npy'),
    '--overwrite',
    ...model,
    '--out',
    fresh('grown-0'),
  );
  for (let part = 1; part <= parts; part++) {
    const end = start + Math.round(((rows.length - start) * part) / parts);
    const from = start + Math.round(((rows.length - start) * (part - 1)) / parts);
    const features = await rowsAt('new.npy', reader, rows.subarray(from, end));
    cpu += naan('add', '--run', at(`grown-${part - 1}`), '--features', features, '--out', fresh(`grown-${part}`));
  }
  const all = await rowsAt('features.npy', reader, rows);
  reader.close();
  const label = naan('label', '--features', all, ...model, '--out', fresh('whole'));
  const grown = await labelsIn(at(`grown-${parts}`));
  const whole = await labelsIn(at('whole'));
  const known = Int32Array.from(rows, (row) => truth[row]);
  const bcubedF = [grown, whole].map((labels) => evaluate(labels, known).all.bcubed.f);
  const sameCluster = shareAlike(grown, whole);
  const name = values.model === undefined ? 'general' : 'own';
  const figures = {
    rows: rows.length,
    first: start,
    parts,
    model: name,
    cpuSeconds: { grown: cpu, label },
    sameCluster,
    bcubedF,
  };
  report(`add-${basename(dirname(split))}-${name}`, figures);
}

/** The share of rows in clusters that stand for each other in the matching that shares the most rows. */
function shareAlike(one: Int32Array, other: Int32Array): number {
  const { clusterOf, ids, sizes } = clustersOf(other);
  const labels = one.slice();
  relabel(labels);
  const { changes } = identitiesOf(labels, clusterOf, { ids, sizes, highest: ids.length - 1 });
  return changes.reduce((sum, { kind, shared }) => sum + (kind === 'kept' ? shared : 0), 0) / labels.length;
}

await (values.set === undefined ? portionsOfSizes() : growth(values.set));
