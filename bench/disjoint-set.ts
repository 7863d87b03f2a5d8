/**
 * How fast do threads unite random edges in the shared disjoint set? The edges are lists by node, as the engine has
 * them; threads claim runs of nodes. Timed: from the moment the threads may start until every node carries the label of
 * its component. The labels are checked against a serial set first. The limit is one pass over the same edges that only
 * reads the parent of each target, on as many threads, in turns with the runs that count.
 *
 *     node dist/bench/disjoint-set.js --nodes 1048576 --degree 16 --threads 1,2 --repeat 15
 */
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { DisjointSet } from '../src/cluster/disjoint-set.js';
import { relabel } from '../src/cluster/relabel.js';
import { SharedDisjointSet, type SharedDisjointSetHandle } from '../src/cluster/shared-disjoint-set.js';
import { report, spread } from './report.js';

const nodesAtOnce = 4096;
const warmUps = 5;

interface Job {
  readonly set: SharedDisjointSetHandle;
  readonly nodes: number;
  readonly offsets: Uint32Array;
  readonly targets: Int32Array;
  /** [round, what to do in it, threads done, next node to claim] */
  readonly control: Int32Array;
}
const slot = { round: 0, kind: 1, done: 2, next: 3 } as const;
const kinds = { unite: 0, look: 1, leave: 2 } as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: String(2 ** 20) },
      degree: { type: 'string', default: '16' },
      threads: { type: 'string', default: '1,2' },
      repeat: { type: 'string', default: '15' },
    },
  });
  const nodes = Number(values.nodes);
  const edges = nodes * Number(values.degree);
  const { offsets, targets } = randomEdges(nodes, edges);
  const expected = serialLabels(nodes, offsets, targets);

  const runs = [];
  for (const threads of values.threads.split(',').map(Number)) {
    const crew = new Crew(nodes, offsets, targets, threads);
    for (let i = 0; i < warmUps; i++) crew.round('unite');
    if (crew.labels().some((label, node) => label !== expected[node]))
      throw new Error(`${threads} threads: wrong labels`);
    for (let i = 0; i < warmUps; i++) crew.round('look');
    const unite: number[] = [];
    const look: number[] = [];
    for (let i = 0; i < Number(values.repeat); i++) {
      unite.push(crew.round('unite'));
      look.push(crew.round('look'));
    }
    crew.leave();
    const [seconds, limit] = [spread(unite), spread(look)];
    const medians = { edgesPerSecond: edges / seconds.median, timesLimit: seconds.median / limit.median };
    runs.push({ threads, ...medians, seconds, limit });
  }

  console.log('threads   median s    least s   limit s   × limit   M edges/s');
  for (const { threads, seconds, limit, timesLimit, edgesPerSecond } of runs) {
    const columns = [seconds.median, seconds.least, limit.median].map((s) => s.toFixed(4).padStart(9));
    const ratio = timesLimit.toFixed(2).padStart(9);
    console.log(
      `${`${threads}`.padEnd(8)} ${columns.join(' ')} ${ratio} ${(edgesPerSecond / 1e6).toFixed(0).padStart(11)}`,
    );
  }
  report('disjoint-set', { nodes, edges, runs });
}

/** Threads that stay, so that what is timed is uniting, not starting. */
class Crew {
  private readonly set: SharedDisjointSet;
  private readonly parents: Int32Array;
  private readonly control = new Int32Array(new SharedArrayBuffer(16));
  private readonly threads: number;

  constructor(nodes: number, offsets: Uint32Array, targets: Int32Array, threads: number) {
    this.set = SharedDisjointSet.allocate(nodes);
    this.parents = new Int32Array(this.set.handle().parents);
    this.threads = threads;
    const job: Job = { set: this.set.handle(), nodes, offsets, targets, control: this.control };
    for (let i = 0; i < threads; i++) new Worker(new URL(import.meta.url), { workerData: job });
  }

  /** Seconds that one round over all edges takes, from a set where every node is alone. */
  round(kind: 'unite' | 'look'): number {
    const { parents, control } = this;
    for (let node = 0; node < parents.length; node++) parents[node] = node;
    Atomics.store(control, slot.kind, kinds[kind]);
    Atomics.store(control, slot.next, 0);
    Atomics.store(control, slot.done, 0);
    const began = performance.now();
    Atomics.add(control, slot.round, 1);
    Atomics.notify(control, slot.round);
    for (let done = 0; done < this.threads; done = Atomics.load(control, slot.done)) {
      Atomics.wait(control, slot.done, done);
    }
    if (kind === 'unite') this.set.flatten();
    return (performance.now() - began) / 1000;
  }

  labels(): Int32Array {
    const labels = this.set.componentOf();
    relabel(labels);
    return labels;
  }

  leave(): void {
    Atomics.store(this.control, slot.kind, kinds.leave);
    Atomics.add(this.control, slot.round, 1);
    Atomics.notify(this.control, slot.round);
  }
}

function work({ set: handle, nodes, offsets, targets, control }: Job): void {
  const set = SharedDisjointSet.from(handle);
  const parents = new Int32Array(handle.parents);
  let atRoot = 0;
  for (let round = 0; ; round++) {
    Atomics.wait(control, slot.round, round);
    const kind = Atomics.load(control, slot.kind);
    if (kind === kinds.leave) break;
    for (;;) {
      const from = Atomics.add(control, slot.next, nodesAtOnce);
      if (from >= nodes) break;
      const to = Math.min(nodes, from + nodesAtOnce);
      if (kind === kinds.unite) set.uniteEdges({ offsets, targets }, from, to);
      else atRoot += lookAt(parents, targets, offsets[from], offsets[to]);
    }
    Atomics.add(control, slot.done, 1);
    Atomics.notify(control, slot.done);
  }
  // Nobody asks, but reading must not be optimised away.
  if (atRoot < 0) console.log(atRoot);
}

function lookAt(parents: Int32Array, targets: Int32Array, from: number, to: number): number {
  let atRoot = 0;
  for (let e = from; e < to; e++) if (parents[targets[e]] === targets[e]) atRoot++;
  return atRoot;
}

function randomEdges(nodes: number, edges: number): { offsets: Uint32Array; targets: Int32Array } {
  let state = 1;
  const random = () => {
    // xorshift32, Marsaglia 2003; the high part of a product spreads it evenly.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((state >>> 0) / 2 ** 32) * nodes);
  };
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (nodes + 1)));
  const targets = new Int32Array(new SharedArrayBuffer(4 * edges));
  for (let e = 0; e < edges; e++) {
    offsets[random() + 1]++;
    targets[e] = random();
  }
  for (let node = 0; node < nodes; node++) offsets[node + 1] += offsets[node];
  return { offsets, targets };
}

function serialLabels(nodes: number, offsets: Uint32Array, targets: Int32Array): Int32Array {
  const set = new DisjointSet(nodes);
  for (let node = 0; node < nodes; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) set.unite(node, targets[e]);
  }
  const labels = Int32Array.from({ length: nodes }, (_, node) => set.find(node));
  relabel(labels);
  return labels;
}

if (isMainThread) await main();
else work(workerData as Job);
