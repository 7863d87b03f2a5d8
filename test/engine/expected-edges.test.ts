import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { expectedEdges } from '../../src/engine/expected-edges.js';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import { allocateKnnGraph, type KnnGraph, setNeighbours } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { writeNpy } from '../../src/io/npy-writer.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-expected-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Neighbours a few places away, so that some are mutual; every seventh list is short and begins with another node. */
function graphOf(nodeCount: number, width: number): KnnGraph {
  const graph = allocateKnnGraph(nodeCount, width);
  const random = new RandomStream(1, 2, 3);
  for (let node = 0; node < nodeCount; node++) {
    const list = new Set<number>();
    while (list.size < (node % 7 === 0 ? width >> 1 : width - 1)) {
      const other = node + Math.floor((random.uniform() - 0.5) * 3 * width);
      if (other !== node) list.add((other + nodeCount) % nodeCount);
    }
    setNeighbours(graph, node, [...list], 'test');
  }
  return graph;
}

test('a small graph is counted, whether it is in memory or a file', async () => {
  const graph = graphOf(150, 11);
  const path = join(folder, 'small.npy');
  await writeNpy(path, 'i8', [150, 11], graph.ids);
  for (const sampleHops of [4, 10]) {
    const edges = candidateEdges(graph, sampleHops).targets.length;
    assert.equal(await expectedEdges(graph, 150, sampleHops), edges);
    assert.equal(await expectedEdges(path, 150, sampleHops), edges);
  }
});

test('a large graph is sampled: within a few per cent', async () => {
  const graph = graphOf(20_000, 21);
  const edges = candidateEdges(graph, 20).targets.length;
  const expected = await expectedEdges(graph, 20_000, 20);
  assert.ok(Math.abs(expected / edges - 1) < 0.03, `${expected} for ${edges}`);
});

test('a file whose rows do not lie together gets the bound, and a wrong one is refused', async () => {
  const graph = graphOf(150, 11);
  const path = join(folder, 'columns.npy');
  await writeNpy(path, 'i4', [150, 11], graph.ids);
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.from(bytes.toString('latin1').replace('False', 'True '), 'latin1'));
  assert.equal(await expectedEdges(path, 150, 10), 1500);
  await assert.rejects(expectedEdges(path, 151, 10), { code: 'BAD_SHAPE' });
});
