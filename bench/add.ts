/**
 * Rows that join a labelled set by `naan add`, in portions of several sizes, beside a labelling of all rows with the graph that
 * `add` made: processor seconds of whole processes (bash's `time`), the share of rows in the same cluster of both, BCubed F of both.
 *
 *     node dist/bench/add.js [--model model.safetensors] [--nodes 100000] [--portions 10,1000,10000] [--folder DIR]
 *
 * Without `--model` one is trained on 300 other identities of the same kind. The graph of the set is that of an exact search.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { identitiesOf } from '../src/cluster/identities.js';
import { clustersOf, relabel } from '../src/cluster/relabel.js';
import { evaluate } from '../src/evaluation/evaluate.js';
import { locateSource } from '../src/io/feature-source.js';
import { readLabels } from '../src/io/labels.js';
import { openRows } from '../src/io/matrix.js';
import { writeNpy } from '../src/io/npy-writer.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    nodes: { type: 'string', default: '100000' },
    portions: { type: 'string', default: '10,1000,10000' },
    folder: { type: 'string', default: join(tmpdir(), 'naan-add') },
  },
});
const nodes = Number(values.nodes);
const portions = values.portions.split(',').map(Number);
const main = resolve('dist/src/cli/main.js');
const at = (...names: string[]) => join(values.folder, ...names);
mkdirSync(values.folder, { recursive: true });

/** Runs a command; its processor seconds. */
function naan(...words: string[]): number {
  const timed = ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', process.execPath, main, ...words, '--quiet'];
  const { status, stderr } = spawnSync('bash', timed, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`naan ${words[0]} failed: ${stderr}`);
  const [user, system] = stderr.trimEnd().split('\n').at(-1)!.split(' ').map(Number);
  return user + system;
}

const model = values.model ?? at('model.safetensors');
const kind = ['--dim', '64', '--k', '20', '--planted-knn', '--shuffle', '--seed', '3'];
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

/** Rows [start, start + count) as a file. */
async function rowsAt(name: string, start: number, count: number): Promise<string> {
  const rows = new Float32Array(count * reader.dim);
  reader.read(start, count, rows);
  await writeNpy(at(name), 'f4', [count, reader.dim], rows);
  return at(name);
}

function fresh(name: string): string {
  rmSync(at(name), { recursive: true, force: true });
  return at(name);
}

const set = await rowsAt('rows.npy', 0, nodes);
const search = naan('knn', '--features', set, '--k', '20', '--method', 'exact', '--out', at('knn.npy'), '--overwrite');
naan('label', '--features', set, '--knn', at('knn.npy'), '--model', model, '--out', fresh('run'));
// The first run to go on from another keeps the scores of all rounds.
naan('add', '--run', at('run'), '--features', await rowsAt('first.npy', nodes, 1), '--out', fresh('before'));

const figures: object[] = [];
let start = nodes + 1;
for (const count of portions) {
  const added = fresh(`added-${count}`);
  const features = await rowsAt('new.npy', start, count);
  const add = naan('add', '--run', at('before'), '--features', features, '--out', added);
  const whole = fresh(`whole-${count}`);
  const all = ['--features', join(added, 'features.npy'), '--knn', join(added, 'knn.npy')];
  const label = naan('label', ...all, '--model', model, '--out', whole);
  const [ofAdd, ofLabel] = await Promise.all(
    [added, whole].map(async (run) => (await readLabels(join(run, 'features_labels.npy'))).codes),
  );
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
report('add', { nodes, cpuSecondsOfExactSearch: search, portions: figures });

/** The share of rows in clusters that stand for each other in the matching that shares the most rows. */
function shareAlike(one: Int32Array, other: Int32Array): number {
  const { clusterOf, ids, sizes } = clustersOf(other);
  const labels = one.slice();
  relabel(labels);
  const { changes } = identitiesOf(labels, clusterOf, { ids, sizes, highest: ids.length - 1 });
  return changes.reduce((sum, { kind, shared }) => sum + (kind === 'kept' ? shared : 0), 0) / labels.length;
}
