/**
 * How long do scored edges take to become clusters? Edges are made here, in an order of nodes like the engine's: an identity
 * is a run of nodes, edges lead to near nodes of the same identity, with high scores, and to nodes of others not far away.
 * `planted`: scores of other identities are low nearly always, components are small and a few are oversize. `giant`: at
 * the threshold nearly all nodes are one component. Components of round 0 are given, as the engine has them from scoring.
 *
 *     node dist/bench/partition.js --nodes 5200000 --degree 16 --threads 2 --repeat 3
 */
import { parseArgs } from 'node:util';
import { createHash } from 'node:crypto';
import { type Partition, partitionDefaults, partitionEdges, partitions } from '../src/cluster/partition.js';
import { SharedDisjointSet } from '../src/cluster/shared-disjoint-set.js';
import { type CandidateEdges, startOffsets } from '../src/graph/candidate-edges.js';
import { RandomStream, shuffled } from '../src/graph/random.js';
import { report, spread } from './report.js';

const threshold = 0.8;
const meanIdentity = 50;
/** Part of a node's edges that stay inside its identity while that has nodes left. */
const ownShare = 0.7;
/** Nodes of other identities are at most so far away. */
const reach = 4000;
/** Scores of edges between identities are u to this power, u uniform. */
const cases = { planted: 200, giant: 4 } as const;

type ScoredEdges = CandidateEdges & { readonly scores: Float32Array };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '5200000' },
      degree: { type: 'string', default: '16' },
      partitions: { type: 'string', default: partitions.join() },
      cases: { type: 'string', default: Object.keys(cases).join() },
      repeat: { type: 'string', default: '3' },
    },
  });
  const nodes = Number(values.nodes);
  const runs = [];
  for (const kind of values.cases.split(',') as (keyof typeof cases)[]) {
    const edges = plantedEdges(nodes, Number(values.degree), cases[kind]);
    const set = SharedDisjointSet.allocate(nodes);
    set.uniteEdges(edges, 0, nodes, edges.scores, threshold);
    const order = shuffled(nodes, new RandomStream(1, 2, 0));
    for (const partition of values.partitions.split(',') as Partition[]) {
      const samples = [];
      let digest = '';
      for (let i = 0; i < Number(values.repeat); i++) {
        const began = performance.now();
        const labels = partitionEdges(edges, edges.scores, partition, { ...partitionDefaults, threshold, order }, set.componentOf());
        samples.push((performance.now() - began) / 1000);
        digest = createHash('sha1').update(labels).digest('hex').slice(0, 12);
        console.error(kind, partition, samples.at(-1), digest);
      }
      runs.push({ case: kind, partition, edges: edges.targets.length, digest, seconds: spread(samples) });
    }
  }
  report('partition', { nodes, threshold, runs });
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
        else target += 1 + (((bits >>> 24) * 2 * reach) >>> 8) / (degree - inside) | 0;
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
