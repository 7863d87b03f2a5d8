/**
 * The kNN graph beside faiss, on the same rows, on as many threads, in one run that takes turns: exact search against
 * IndexFlatIP, approximate search against IndexIVFFlat and IndexHNSWFlat, both at the least effort that reaches the
 * recall, and against usearch where it is installed. Counted is what turns rows in memory into a graph: building and
 * searching for every row; here that includes starting the threads, fitting the effort and measuring recall, there the
 * sweep that finds the effort is free.
 *
 *     node dist/bench/knn-peers.js --threads 2 --repeat 3
 *     node dist/bench/knn-peers.js --only exact --exact-nodes 100000 --exact-k 20
 *
 * Needs /usr/bin/python3 with faiss (Debian: python3-faiss, which is built for any x86-64 and multiplies by OpenBLAS).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { SyntheticSet } from '../src/graph/synthetic-set.js';
import type { MatrixLocation } from '../src/io/matrix.js';
import { writeNpy } from '../src/io/npy-writer.js';
import { findKnn } from '../src/knn/find.js';
import { SharedRows } from '../src/memory/shared-rows.js';
import { report, spread } from './report.js';

const { values } = parseArgs({
  options: {
    'exact-nodes': { type: 'string', default: '12174' },
    'exact-k': { type: 'string', default: '80' },
    nodes: { type: 'string', default: '100000' },
    k: { type: 'string', default: '20' },
    dim: { type: 'string', default: '512' },
    'min-recall': { type: 'string', default: '0.99' },
    threads: { type: 'string', default: String(availableParallelism()) },
    repeat: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
});
const dim = Number(values.dim);
const threads = Number(values.threads);
const repeat = Number(values.repeat);
const minRecall = Number(values['min-recall']);
const python = '/usr/bin/python3';
const script = join('bench', 'peers', 'faiss-knn.py');

type Method = 'flat' | 'ivf' | 'hnsw';
interface Outcome {
  readonly seconds: number;
  readonly recall: number;
  readonly settings?: object;
  readonly faiss?: string;
}

const folder = mkdtempSync(join(tmpdir(), 'naan-bench-'));
try {
  const exact = await compareExact(Number(values['exact-nodes']), Number(values['exact-k']));
  const approximate =
    values.only === 'exact' ? undefined : await compareApproximate(Number(values.nodes), Number(values.k));
  const figures = { question: 'kNN graphs beside faiss: seconds for all rows, in one run', dim, threads };
  report(approximate ? 'knn-peers' : 'knn-exact-peers', { ...figures, exact, approximate });
  console.log(
    `\nall on ${threads} threads (faiss: OMP_NUM_THREADS=${threads}); × is the peer's time over that of naan`,
  );
  console.table(rowsOf(exact.results));
  if (approximate) console.table(rowsOf(approximate.results));
} finally {
  rmSync(folder, { recursive: true });
}

async function compareExact(nodes: number, k: number) {
  const set = await makeSet('exact', nodes, k);
  const runs: Record<string, Outcome[]> = { 'naan exact': [], 'faiss IndexFlatIP': [] };
  for (let run = 0; run < repeat; run++) {
    runs['naan exact'].push(await naan(set.rows, k, 'exact'));
    runs['faiss IndexFlatIP'].push(faiss('flat', set, k));
  }
  return { nodes, k, results: summarise(runs) };
}

/** Peers that take minutes run once, exact search too, naan before, between and after them. */
async function compareApproximate(nodes: number, k: number) {
  const set = await makeSet('approximate', nodes, k);
  const runs: Record<string, Outcome[]> = { 'naan ivf': [] };
  const again = async () => void runs['naan ivf'].push(await naan(set.rows, k, 'ivf'));
  await again();
  runs['naan exact'] = [set.exact];
  runs['faiss IndexFlatIP'] = [faiss('flat', set, k)];
  await again();
  runs['faiss IndexIVFFlat'] = [faiss('ivf', set, k)];
  await again();
  runs['faiss IndexHNSWFlat'] = [faiss('hnsw', set, k)];
  await again();
  if (await import('usearch').then(Boolean, () => false)) {
    runs['usearch HNSW, bf16'] = [await naan(set.rows, k, 'hnsw')];
    await again();
  }
  return { nodes, k, minRecall, results: summarise(runs) };
}

interface PeerSet {
  readonly rows: MatrixLocation;
  readonly features: string;
  readonly truth: string;
  /** The search that found the truth. */
  readonly exact: Outcome;
}

async function makeSet(name: string, nodes: number, k: number): Promise<PeerSet> {
  const set = new SyntheticSet({ seed: 1, split: 1, dim, extent: { nodes }, shuffle: true });
  const shared = SharedRows.allocate(nodes, dim);
  shared.eachRun(0, nodes, (view, first) => set.rows(first, view.length / dim, view));
  const rows: MatrixLocation = { kind: 'memory', name, rows: shared.handle() };
  const began = performance.now();
  const { graph } = await findKnn(rows, { k, threads, method: 'exact' });
  const exact = { seconds: (performance.now() - began) / 1000, recall: 1 };
  const [features, truth] = [join(folder, `${name}-rows.npy`), join(folder, `${name}-truth.npy`)];
  await writeNpy(features, 'f4', [nodes, dim], inOne(shared));
  await writeNpy(truth, 'i4', [nodes, graph.width], graph.ids);
  validate(graph, k);
  return { rows, features, truth, exact };
}

function inOne(rows: SharedRows): Float32Array {
  const all = new Float32Array(rows.rowCount * rows.dim);
  rows.eachRun(0, rows.rowCount, (view, first) => all.set(view, first * rows.dim));
  return all;
}

function validate({ ids, nodeCount, width }: KnnGraph, k: number): void {
  if (ids.length !== nodeCount * (k + 1) || ids.includes(-1)) throw new Error('the exact graph has empty places');
  for (let row = 0; row < nodeCount; row++) if (ids[row * width] !== row) throw new Error(`row ${row} is not its own`);
}

async function naan(rows: MatrixLocation, k: number, method: 'exact' | 'ivf' | 'hnsw'): Promise<Outcome> {
  const began = performance.now();
  const found = await findKnn(rows, { k, threads, method, minRecall });
  const seconds = (performance.now() - began) / 1000;
  if (found.method !== method) throw new Error(`${method} did not reach a recall of ${minRecall}`);
  return { seconds, recall: found.recall, settings: { attempts: found.attempts } };
}

function faiss(method: Method, { features, truth }: PeerSet, k: number): Outcome {
  const args = [script, method, features, truth, k, threads, minRecall].map(String);
  const env = { ...process.env, OMP_NUM_THREADS: `${threads}`, OPENBLAS_NUM_THREADS: `${threads}` };
  return JSON.parse(execFileSync(python, args, { encoding: 'utf8', env })) as Outcome;
}

function summarise(runs: Record<string, Outcome[]>) {
  const [own] = Object.values(runs);
  const ownSeconds = spread(own.map(({ seconds }) => seconds)).median;
  return Object.entries(runs).map(([name, outcomes]) => {
    const seconds = spread(outcomes.map((outcome) => outcome.seconds));
    const { recall, settings, faiss: peerVersion } = outcomes[0];
    return {
      name,
      runs: outcomes.length,
      seconds,
      recall,
      ratio: seconds.median / ownSeconds,
      settings,
      faiss: peerVersion,
    };
  });
}

function rowsOf(results: ReturnType<typeof summarise>) {
  return results.map(({ name, seconds, recall, ratio }) => {
    return { name, seconds: seconds.median.toFixed(2), recall: recall.toFixed(4), '×': ratio.toFixed(2) };
  });
}
