/**
 * Orders of the nodes, by what they cost and by the halo they leave: unique rows that tiles of 512 nodes gather for hop one
 * and for candidate edges, for each row owned. The engine's own order (`locality-order.ts`) beside the order of the input,
 * breadth-first search and reverse Cuthill-McKee, for a set sorted by identity and the same shuffled.
 *
 *     node dist/bench/order.js [--nodes 100000] [--hops 20]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { generate } from '../src/engine/generate.js';
import { layOut } from '../src/engine/graph-tasks.js';
import { Halo } from '../src/engine/halo.js';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { localityOrder } from '../src/graph/locality-order.js';
import { readKnn } from '../src/io/knn.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: { nodes: { type: 'string', default: '100000' }, hops: { type: 'string', default: '20' } },
});
const nodes = Number(values.nodes);
const hops = Number(values.hops);
const batch = 512;

/** Input order, as the others give theirs. */
function asItCame({ nodeCount }: KnnGraph): Int32Array {
  return Int32Array.from({ length: nodeCount }, (_, i) => i);
}

/** Levels from each unvisited node in turn; neighbours in the order of their lists, or those of least in-degree first. */
function breadthFirst({ nodeCount, width, ids }: KnnGraph, byDegree: boolean): Int32Array {
  const degrees = new Int32Array(nodeCount);
  for (const id of ids) if (id >= 0) degrees[id]++;
  const seen = new Uint8Array(nodeCount);
  const order = new Int32Array(nodeCount);
  let end = 0;
  for (let root = 0; root < nodeCount; root++) {
    if (seen[root]) continue;
    seen[root] = 1;
    order[end++] = root;
    for (let at = end - 1; at < end; at++) {
      const list = ids.subarray(order[at] * width + 1, order[at] * width + width).filter((id) => id >= 0 && !seen[id]);
      if (byDegree) list.sort((a, b) => degrees[a] - degrees[b]);
      for (const id of list) {
        if (seen[id]) continue;
        seen[id] = 1;
        order[end++] = id;
      }
    }
  }
  return byDegree ? order.reverse() : order;
}

function haloFactor({ nodeCount, width, ids }: KnnGraph): number {
  const halo = new Halo(nodeCount, batch * width);
  let gathered = 0;
  for (let start = 0; start < nodeCount; start += batch) {
    halo.clear();
    const until = Math.min(start + batch, nodeCount) * width;
    for (let at = start * width; at < until; at++) if (ids[at] >= 0) halo.slot(ids[at]);
    gathered += halo.count;
  }
  return gathered / nodeCount;
}

const orders: Record<string, (graph: KnnGraph) => Int32Array> = {
  input: asItCame,
  breadthFirst: (graph) => breadthFirst(graph, false),
  reverseCuthillMcKee: (graph) => breadthFirst(graph, true),
  cappedSingleLinkage: localityOrder,
};
const folder = mkdtempSync(join(tmpdir(), 'naan-order-'));
const results: Record<string, unknown>[] = [];
try {
  for (const shuffle of [false, true]) {
    const out = join(folder, String(shuffle));
    await generate({ out, nodes, labeledIds: 0, dim: 512, k: 80, shuffle, plantedKnn: true });
    const graph = await readKnn(join(out, 'unlabeled/split1_knn.npy'), { columns: hops + 1 });
    for (const [order, find] of Object.entries(orders)) {
      const began = performance.now();
      const found = find(graph);
      const seconds = (performance.now() - began) / 1000;
      results.push({
        nodes,
        hops,
        shuffled: shuffle,
        order,
        seconds,
        haloFactor: haloFactor(layOut(graph, found).graph),
      });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report('order', { results });
