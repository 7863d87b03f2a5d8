/**
 * Orders of the nodes, by what they cost and by the halo they leave: unique rows that tiles of 512 nodes gather for hop one
 * and for candidate edges, for each row owned. The engine's own order (`locality-order.ts`) beside the order of the input
 * and those of bench/orders.ts, for a set sorted by identity and the same shuffled.
 *
 *     node dist/bench/order.js [--nodes 100000] [--hops 20]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { layOutIn } from '../src/engine/layout.js';
import { runPlan } from '../src/execution/plan.js';
import type { KnnGraph } from '../src/graph/knn-graph.js';
import { localityOrder } from '../src/graph/locality-order.js';
import { locateFeatures } from '../src/io/features.js';
import { readKnn } from '../src/io/knn.js';
import { openRows } from '../src/io/matrix.js';
import { generate } from '../src/jobs/generate.js';
import { Halo } from '../src/memory/halo.js';
import { asItCame, breadthFirst, kMeansCells, labelPropagationCells, recursiveBisection } from './orders.js';
import { report } from './report.js';

const { values } = parseArgs({
  options: { nodes: { type: 'string', default: '100000' }, hops: { type: 'string', default: '20' } },
});
const nodes = Number(values.nodes);
const hops = Number(values.hops);
const batch = 512;

async function allRows(path: string): Promise<Float32Array> {
  const reader = openRows(await locateFeatures(path));
  const rows = new Float32Array(reader.rowCount * reader.dim);
  reader.read(0, reader.rowCount, rows);
  reader.close();
  return rows;
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

const dim = 512;
const orders: Record<string, (graph: KnnGraph, rows: Float32Array) => Int32Array | Promise<Int32Array>> = {
  input: asItCame,
  breadthFirst: (graph) => breadthFirst(graph, false),
  reverseCuthillMcKee: (graph) => breadthFirst(graph, true),
  labelPropagationCells: (graph) => labelPropagationCells(graph, batch),
  recursiveBisection: (graph) => recursiveBisection(graph, 64),
  kMeansCells: (_, rows) => kMeansCells(rows, dim, batch / 2),
  cappedSingleLinkage: localityOrder,
};
const folder = mkdtempSync(join(tmpdir(), 'naan-order-'));
const results: Record<string, unknown>[] = [];
try {
  for (const shuffle of [false, true]) {
    const out = join(folder, String(shuffle));
    await generate({ out, nodes, labeledIds: 0, dim, k: 80, shuffle, plantedKnn: true });
    const graph = await readKnn(join(out, 'unlabeled/split1_knn.npy'), { columns: hops + 1 });
    const rows = await allRows(join(out, 'unlabeled/split1_feats.npz'));
    for (const [order, find] of Object.entries(orders)) {
      const began = performance.now();
      const found = await find(graph, rows);
      const seconds = (performance.now() - began) / 1000;
      results.push({
        nodes,
        hops,
        shuffled: shuffle,
        order,
        seconds,
        haloFactor: haloFactor(runPlan(layOutIn(graph, found, 1)).graph),
      });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report('order', { results });
