/**
 * How fast are the components of random edges found, beside others? All have the edges in memory, in lists by node, and are
 * timed from nodes that are alone to labels of components; runs of all take turns.
 * - `streamed`: lists with each edge at one end, once in any order, as the engine has them while it scores.
 * - `look` is the limit of that: one pass over the edges that only reads the parent of each target.
 * - `sampled`: lists with each edge at both ends, made before the clock starts; most edges need no look.
 * - `afforest`: the same in C++ (bench/peers/afforest.cpp), on the same lists. `scipy`:
 *   scipy.sparse.csgraph.connected_components, its matrix made before the clock starts; one thread.
 * Labels are compared with those of the C++ and, for the smaller graph, of a serial set.
 *
 *     node dist/bench/disjoint-set.js --graphs 1048576x16,5200000x20 --threads 1,2 --repeat 9
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { DisjointSet } from '../src/cluster/disjoint-set.js';
import { SharedDisjointSet, type SharedDisjointSetHandle } from '../src/cluster/shared-disjoint-set.js';
import { report, spread } from './report.js';
import { atBothEnds, type EdgesByNode, SampledComponents, sampleRounds } from './sampled-components.js';

const nodesAtOnce = 4096;

interface Job {
  readonly set: SharedDisjointSetHandle;
  readonly nodes: number;
  readonly offsets: Uint32Array;
  readonly targets: Int32Array;
  readonly both: EdgesByNode;
  /** [round, what to do in it, threads done, next node to claim, an argument] */
  readonly control: Int32Array;
}
const slot = { round: 0, kind: 1, done: 2, next: 3, value: 4 } as const;
const kinds = { alone: 0, unite: 1, look: 2, sample: 3, flatten: 4, rest: 5, leave: 6 } as const;
type Kind = keyof typeof kinds;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      graphs: { type: 'string', default: `${2 ** 20}x16,5200000x20` },
      threads: { type: 'string', default: '1,2' },
      repeat: { type: 'string', default: '9' },
      'scipy-repeat': { type: 'string', default: '1' },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'naan-bench-'));
  try {
    const peers = new Peers(folder);
    const graphs = [];
    for (const size of values.graphs.split(',')) {
      const [nodes, degree] = size.split('x').map(Number);
      const repeat = Number(values.repeat);
      graphs.push(
        await measure(
          nodes,
          nodes * degree,
          values.threads.split(',').map(Number),
          repeat,
          Number(values['scipy-repeat']),
          peers,
        ),
      );
    }
    for (const { nodes, edges, runs } of graphs) {
      console.log(`\n${nodes} nodes, ${edges} edges, median seconds (times afforest on the same threads)`);
      for (const { threads, seconds } of runs) {
        const one = seconds.afforest?.median;
        for (const [name, { median, least }] of Object.entries(seconds)) {
          const ratio = one === undefined ? '' : ` × ${(median / one).toFixed(2)}`;
          console.log(`${threads} threads  ${name.padEnd(9)} ${median.toFixed(4)} (least ${least.toFixed(4)})${ratio}`);
        }
      }
    }
    report('disjoint-set', { peers: peers.described, graphs });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(
  nodes: number,
  edges: number,
  threadCounts: number[],
  repeat: number,
  scipyRepeat: number,
  peers: Peers,
) {
  const { offsets, targets } = randomEdges(nodes, edges);
  peers.start(nodes, offsets, targets);
  const hash = edges < 2 ** 25 ? hashOf(serialLabels(nodes, offsets, targets)) : undefined;
  const check = (name: string, found: number, expected: number | undefined) => {
    if (expected !== undefined && found !== expected) throw new Error(`${name}: wrong labels`);
  };
  const both = atBothEnds({ offsets, targets });
  const runs = [];
  for (const threads of threadCounts) {
    const crew = new Crew(nodes, { offsets, targets }, both, threads);
    const samples: Record<string, number[]> = {};
    let expected = hash;
    for (let i = -2; i < repeat; i++) {
      const note = (name: string, seconds: number) => {
        if (i >= 0) samples[name] = [...(samples[name] ?? []), seconds];
      };
      for (const way of ['streamed', 'sampled'] as const) {
        note(way, crew[way]());
        const found = hashOf(crew.labels());
        check(way, found, expected);
        expected = found;
      }
      note('look', crew.look());
      const answer = await peers.afforest(threads);
      if (answer) {
        check('afforest', answer[1], expected);
        note('afforest', answer[0]);
      }
      if (threads === 1 && i >= 0 && i < scipyRepeat) {
        const answer = await peers.scipy();
        if (answer) note('scipy', answer[0]);
      }
    }
    crew.leave();
    const seconds = Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, spread(all)]));
    runs.push({ threads, seconds, edgesPerSecond: edges / seconds.sampled.median });
  }
  peers.stop();
  return { nodes, edges, runs };
}

/** Programs in other languages, where they can be had. */
class Peers {
  readonly described: Record<string, string> = {};
  private readonly program: string;
  private readonly graph: string;
  private answers: { afforest?: Answers; scipy?: Answers } = {};

  constructor(folder: string) {
    this.program = join(folder, 'afforest');
    this.graph = join(folder, 'graph');
    const versionOf = (command: string, ...parameters: string[]) => {
      try {
        return execFileSync(command, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(
          '\n',
        )[0];
      } catch {
        return 'not there';
      }
    };
    const build = ['-O3', '-march=native', '-pthread', '-o', this.program, 'bench/peers/afforest.cpp'];
    this.described.afforest = versionOf('g++', '--version');
    if (this.described.afforest !== 'not there') {
      execFileSync('g++', build);
      this.described.afforest += ` ${build.slice(0, 3).join(' ')}`;
    }
    this.described.scipy = versionOf('/usr/bin/python3', '-c', 'import scipy; print(scipy.__version__)');
  }

  start(nodes: number, offsets: Uint32Array, targets: Int32Array): void {
    const file = openSync(this.graph, 'w');
    for (const words of [offsets, targets]) {
      const bytes = new Uint8Array(words.buffer);
      for (let at = 0; at < bytes.length; at += 2 ** 28) writeSync(file, bytes.subarray(at, at + 2 ** 28));
    }
    closeSync(file);
    const parameters = [String(nodes), String(targets.length), this.graph];
    const there = (name: string) => this.described[name] !== 'not there';
    if (there('afforest')) this.answers.afforest = new Answers(this.program, parameters);
    if (there('scipy'))
      this.answers.scipy = new Answers('/usr/bin/python3', ['bench/peers/connected_components.py', ...parameters]);
  }

  afforest(threads: number): Promise<number[]> | undefined {
    return this.answers.afforest?.ask(String(threads));
  }

  scipy(): Promise<number[]> | undefined {
    return this.answers.scipy?.ask('go');
  }

  stop(): void {
    for (const answers of Object.values(this.answers)) answers.stop();
  }
}

/** A program that answers each line with one line of numbers. */
class Answers {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(command: string, parameters: readonly string[]) {
    this.child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async ask(question: string): Promise<number[]> {
    this.child.stdin!.write(`${question}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.child.spawnfile} ended`);
    return String(value).split(' ').map(Number);
  }

  stop(): void {
    this.child.stdin!.end();
  }
}

/** Threads that stay, so that what is timed is uniting, not starting. */
class Crew {
  private readonly set: SharedDisjointSet;
  private readonly sampler: SampledComponents;
  private readonly control = new Int32Array(new SharedArrayBuffer(20));
  private readonly threads: number;

  constructor(nodes: number, edges: EdgesByNode, both: EdgesByNode, threads: number) {
    this.set = SharedDisjointSet.allocate(nodes);
    this.threads = threads;
    this.sampler = new SampledComponents(this.set, both);
    const job: Job = { set: this.set.handle(), nodes, ...edges, both, control: this.control };
    for (let i = 0; i < threads; i++) new Worker(new URL(import.meta.url), { workerData: job });
  }

  streamed(): number {
    return this.passes(() => {
      this.pass('alone');
      this.pass('unite');
      this.pass('flatten');
    });
  }

  sampled(): number {
    return this.passes(() => {
      this.pass('alone');
      for (let round = 0; round < sampleRounds; round++) {
        this.pass('sample', round);
        this.pass('flatten');
      }
      this.pass('rest', this.sampler.largest());
      this.pass('flatten');
    });
  }

  look(): number {
    this.pass('alone');
    return this.passes(() => this.pass('look'));
  }

  /** The smallest node of each component. */
  labels(): Int32Array {
    return this.set.componentOf();
  }

  leave(): void {
    this.order('leave');
  }

  private passes(run: () => void): number {
    const began = performance.now();
    run();
    return (performance.now() - began) / 1000;
  }

  /** One pass of all threads over all nodes. */
  private pass(kind: Kind, value = 0): void {
    const { control } = this;
    Atomics.store(control, slot.value, value);
    this.order(kind);
    for (let done = 0; done < this.threads; done = Atomics.load(control, slot.done)) {
      Atomics.wait(control, slot.done, done);
    }
  }

  private order(kind: Kind): void {
    const { control } = this;
    Atomics.store(control, slot.kind, kinds[kind]);
    Atomics.store(control, slot.next, 0);
    Atomics.store(control, slot.done, 0);
    Atomics.add(control, slot.round, 1);
    Atomics.notify(control, slot.round);
  }
}

function work({ set: handle, nodes, offsets, targets, both, control }: Job): void {
  const set = SharedDisjointSet.from(handle);
  const sampler = new SampledComponents(set, both);
  const parents = new Int32Array(handle.parents);
  let atRoot = 0;
  const passes: Record<number, (from: number, to: number, value: number) => void> = {
    [kinds.alone]: (from, to) => {
      for (let node = from; node < to; node++) parents[node] = node;
    },
    [kinds.unite]: (from, to) => void set.uniteEdges({ offsets, targets }, from, to),
    [kinds.look]: (from, to) => {
      atRoot += lookAt(parents, targets, offsets[from], offsets[to]);
    },
    [kinds.sample]: (from, to, round) => sampler.sample(round, from, to),
    [kinds.flatten]: (from, to) => sampler.flatten(from, to),
    [kinds.rest]: (from, to, largest) => sampler.uniteRest(largest, from, to),
  };
  for (let round = 0; ; round++) {
    Atomics.wait(control, slot.round, round);
    const kind = Atomics.load(control, slot.kind);
    if (kind === kinds.leave) break;
    const value = Atomics.load(control, slot.value);
    for (;;) {
      const from = Atomics.add(control, slot.next, nodesAtOnce);
      if (from >= nodes) break;
      passes[kind](from, Math.min(nodes, from + nodesAtOnce), value);
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

/** The smallest node of each component. */
function serialLabels(nodes: number, offsets: Uint32Array, targets: Int32Array): Int32Array {
  const set = new DisjointSet(nodes);
  for (let node = 0; node < nodes; node++) {
    for (let e = offsets[node]; e < offsets[node + 1]; e++) set.unite(node, targets[e]);
  }
  const smallest = new Int32Array(nodes).fill(-1);
  return Int32Array.from({ length: nodes }, (_, node) => {
    const root = set.find(node);
    if (smallest[root] < 0) smallest[root] = node;
    return smallest[root];
  });
}

/** As in afforest.cpp. */
function hashOf(labels: Int32Array): number {
  let sum = 0;
  for (let node = 0; node < labels.length; node++) sum = (Math.imul(sum, 31) + labels[node]) | 0;
  return sum;
}

if (isMainThread) await main();
else work(workerData as Job);
