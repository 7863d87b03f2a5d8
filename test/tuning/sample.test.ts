import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import type { Counters } from '../../src/execution/counters.js';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { plantKnn } from '../../src/graph/knn-planted.js';
import { SyntheticSet } from '../../src/graph/synthetic-set.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { label } from '../../src/jobs/label.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import type { ConcatModel } from '../../src/model/model.js';
import { foldedGraph, sampleNodes, takeSample } from '../../src/tuning/sample.js';

const [nodeCount, dim, k] = [40_000, 64, 40];
let graph: KnnGraph;
let rows: SharedRows;
let features: MatrixLocation;
before(async () => {
  const set = new SyntheticSet({ seed: 5, split: 1, dim, extent: { nodes: nodeCount }, shuffle: true });
  graph = await plantKnn(set, { k });
  rows = SharedRows.allocate(nodeCount, dim);
  rows.eachRun(0, nodeCount, (view, first) => set.rows(first, view.length / dim, view));
  features = { kind: 'memory', name: 'set', rows: rows.handle() };
});

test('a sample is so many different nodes, with their own rows, and full lists without a node twice', async () => {
  const nodes = sampleNodes(graph, 9000);
  assert.equal(new Set(nodes).size, 9000);
  const sample = await takeSample(features, graph, 9000);
  assert.deepEqual(sample.rows.subarray(500 * dim, 501 * dim), rows.row(nodes[500]));
  const { ids, width } = sample.graph;
  assert.equal(width, graph.width);
  for (let i = 0; i < 9000; i++) {
    const list = ids.subarray(i * width, (i + 1) * width);
    assert.equal(list[0], i);
    assert.equal(new Set(list).size, width, `row ${i}`);
    assert(list.every((id) => id >= 0 && id < 9000));
  }
});

test('neighbours within the sample stay the neighbours they are', () => {
  const nodes = sampleNodes(graph, 9000);
  const { ids, width } = foldedGraph(graph, nodes);
  let kept = 0;
  for (let i = 0; i < 9000; i++) if (nodes[ids[i * width + 1]] === graph.ids[nodes[i] * width + 1]) kept++;
  assert(kept > 0.95 * 9000, `${kept} nodes have their nearest neighbour`);
});

test('of a list that ends early, −1 stays −1', () => {
  const ids = new Int32Array([0, 1, -1, 1, 0, 2, 2, 3, -1, 3, -1, -1]);
  const folded = foldedGraph({ nodeCount: 4, width: 3, ids }, new Int32Array([1, 2, 3]));
  assert.deepEqual(
    [...folded.ids].map((id, at) => (at % 3 === 0 || id < 0 ? id : 'x')),
    [0, 'x', 'x', 1, 'x', -1, 2, -1, -1],
  );
  assert.equal(folded.ids[2], 1, 'node 2 is now node 1');
});

test('all nodes asked for are the set as it is', async () => {
  const sample = await takeSample(features, graph, nodeCount);
  assert.equal(sample.graph, graph);
  assert.deepEqual(sample.rows.subarray(0, dim), rows.row(0));
});

test('a node of a sample gathers as many rows and has as many edges as one of the whole set', async () => {
  const model = smoothedDistanceModel(dim, [20, 10]);
  const whole = await gathered(model, graph, new Float32Array(rows.windows[0]));
  const sample = await takeSample(features, graph, 10_000);
  const part = await gathered(model, sample.graph, sample.rows);
  assert(Math.abs(part / whole - 1) < 0.15, `${part} rows a node, ${whole} in the whole set`);
  const edges = (of: KnnGraph) => candidateEdges(of, k).targets.length / of.nodeCount;
  assert(Math.abs(edges(sample.graph) / edges(graph) - 1) < 0.1);
});

/** Rows gathered a node. */
async function gathered(model: ConcatModel, knn: KnnGraph, all: Float32Array): Promise<number> {
  let counters: Counters | undefined;
  const observer = {
    start: (run: { counters: Counters }) => {
      counters = run.counters;
    },
    backend() {},
    shards() {},
    stageDone() {},
  };
  await label({ features: { rows: all, dim }, knn, model, observer, threads: 2 });
  return counters!.total('rowsGathered') / knn.nodeCount;
}
