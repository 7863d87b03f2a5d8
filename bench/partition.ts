/**
 * How long do scored edges take to become clusters? Edges are made here, in an order of nodes like the engine's: an identity
 * is a run of nodes, edges lead to near nodes of the same identity, with high scores, and to nodes of others not far away.
 * `planted`: scores of other identities are low nearly always, components are small and a few are oversize. `giant`: at
 * the threshold nearly all nodes are one component. Components of round 0 are given, as the engine has them from scoring.
 *
 *     node dist/bench/partition.js --nodes 5200000 --degree 16 --threads 1,2 --repeat 1
 */

import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { labelPlan, type Partition, partitions } from '../src/cluster/partition.js';
import type { ScoredEdges } from '../src/cluster/scored-edges.js';
import { SharedDisjointSet } from '../src/cluster/shared-disjoint-set.js';
import { partitionDefaults } from '../src/defaults.js';
import { stepName } from '../src/engine/steps.js';
import type { Plan } from '../src/execution/plan.js';
import { Pool } from '../src/execution/pool.js';
import { runPlanOn } from '../src/execution/run-plan.js';
import { startOffsets } from '../src/graph/candidate-edges.js';
import { RandomStream, shuffled } from '../src/graph/random.js';
import { report, spread } from './report.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const threshold = 0.8;
const meanIdentity = 50;
/** Part of a node's edges that stay inside its identity while that has nodes left. */
const ownShare = 0.7;
/** Nodes of other identities are at most so far away. */
const reach = 4000;
/** Scores of edges between identities are u to this power, u uniform. */
const cases = { planted: 200, giant: 4 } as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '5200000' },
      degree: { type: 'string', default: '16' },
      partitions: { type: 'string', default: partitions.join() },
      cases: { type: 'string', default: Object.keys(cases).join() },
      steps: { type: 'boolean', default: false },
      threads: { type: 'string', default: '1,2' },
      repeat: { type: 'string', default: '1' },
    },
  });
  const nodes = Number(values.nodes);
  const pools = values.threads.split(',').map((threads) => {
    return new Pool({ worker: new URL('./partition-worker.js', import.meta.url), threads: Number(threads) });
  });
  const runs = [];
  for (const kind of values.cases.split(',') as (keyof typeof cases)[]) {
    const edges = plantedEdges(nodes, Number(values.degree), cases[kind]);
    const set = SharedDisjointSet.allocate(nodes);
    set.uniteEdges(edges, 0, nodes, edges.scores, threshold);
    const order = shuffled(nodes, new RandomStream(1, 2, 0));
    for (const partition of values.partitions.split(',') as Partition[]) {
      const timings = pools.map(({ threads }) => ({ threads, seconds: [] as number[], extraBytes: 0 }));
      const digests = new Set<string>();
      for (let i = 0; i < Number(values.repeat); i++) {
        for (const [p, pool] of pools.entries()) {
          const options = { ...partitionDefaults, threshold, order };
          const memory = watchMemory();
          const began = performance.now();
          const plan = labelPlan(edges, partition, options, pool.threads, set.handle());
          const labels = await runPlanOn(pool, values.steps ? timed(plan) : plan, stepName);
          timings[p].seconds.push((performance.now() - began) / 1000);
          timings[p].extraBytes = Math.max(timings[p].extraBytes, memory());
          digests.add(createHash('sha1').update(labels).digest('hex').slice(0, 12));
          console.error(kind, partition, pool.threads, timings[p].seconds.at(-1), [...digests]);
        }
      }
      if (digests.size > 1) throw new Error(`${kind}, ${partition}: labels differ between runs`);
      const first = spread(timings[0].seconds).median;
      for (const timing of timings) {
        const seconds = spread(timing.seconds);
        runs.push({
          case: kind,
          partition,
          threads: timing.threads,
          edges: edges.targets.length,
          seconds,
          ratio: first / seconds.median,
          extraGiB: timing.extraBytes / 2 ** 30,
        });
      }
    }
  }
  for (const pool of pools) await pool.close();

  console.log(`${nodes} nodes, ${runs[0].edges} edges; ratio: beside threads ${pools[0].threads}`);
  console.log('case     partition    threads   median s    least s   ratio   memory GiB');
  for (const run of runs) {
    const [median, least] = [run.seconds.median, run.seconds.least].map((s) => s.toFixed(2).padStart(10));
    const head = `${run.case.padEnd(8)} ${run.partition.padEnd(12)} ${String(run.threads).padStart(7)}`;
    const ratio = run.ratio.toFixed(2).padStart(7);
    console.log(`${head} ${median} ${least} ${ratio} ${run.extraGiB.toFixed(2).padStart(12)}`);
  }
  report('partition', { nodes, threshold, runs }, false);
}

/** Tells how long each step takes. */
function* timed<T>(plan: Plan<T>): Plan<T> {
  let next = plan.next();
  while (!next.done) {
    const began = performance.now();
    const results = yield next.value;
    console.error('  ', next.value.work.name, next.value.inputs.length, (performance.now() - began).toFixed(0));
    next = plan.next(results);
  }
  return next.value;
}

/** Most bytes that the process has more in memory than now, seen every 20 ms until the function returned is called. */
function watchMemory(): () => number {
  collectGarbage();
  const rss = () => process.memoryUsage.rss();
  const before = rss();
  let most = before;
  const look = () => {
    most = Math.max(most, rss());
  };
  const timer = setInterval(look, 20);
  return () => {
    clearInterval(timer);
    look();
    return most - before;
  };
}

/** About nodes · degree edges, each once, keyed by either end, in shared memory. */
function plantedEdges(nodeCount: number, degree: number, power: number): ScoredEdges {
  const ends = identityEnds(nodeCount);
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (nodeCount + 1)));
  const walk = (visit: (key: number, target: number, score: number) => void) => {
    const random = new RandomStream(1, 1, 0);
    const own = Math.round(degree * ownShare);
    for (let node = 0; node < nodeCount; node++) {
      const end = ends[node];
      const inside = Math.min(own, end - node - 1);
      let target = node;
      for (let i = 0; i < degree; i++) {
        const bits = random.next() >>> 0;
        const uniform = (bits & 0xffffff) / 2 ** 24;
        if (i < inside) target++;
        else if (i === inside) target = end + (bits >>> 24);
        else target += (1 + (((bits >>> 24) * 2 * reach) >>> 8) / (degree - inside)) | 0;
        if (target >= nodeCount) break;
        const score = i < inside ? 1 - 0.4 * uniform ** 3 : uniform ** power;
        if ((bits >>> 25) & 1) visit(node, target, score);
        else visit(target, node, score);
      }
    }
  };
  walk((key) => offsets[key + 1]++);
  const edgeCount = startOffsets(offsets);
  const targets = new Int32Array(new SharedArrayBuffer(4 * edgeCount));
  const scores = new Float32Array(new SharedArrayBuffer(4 * edgeCount));
  walk((key, target, score) => {
    const e = offsets[key + 1]++;
    targets[e] = target;
    scores[e] = score;
  });
  return { nodeCount, offsets, targets, scores };
}

/** One past the last node of each node's identity. */
function identityEnds(nodeCount: number): Int32Array {
  const ends = new Int32Array(nodeCount);
  const random = new RandomStream(1, 0, 0);
  for (let start = 0; start < nodeCount; ) {
    const size = Math.ceil(-meanIdentity * Math.log(1 - random.uniform()));
    const end = Math.min(nodeCount, start + Math.max(1, size));
    ends.fill(end, start, end);
    start = end;
  }
  return ends;
}

await main();
