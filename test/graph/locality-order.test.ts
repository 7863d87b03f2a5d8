import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allocateKnnGraph, setNeighbours } from '../../src/graph/knn-graph.js';
import { localityOrder } from '../../src/graph/locality-order.js';

/** Cliques of `size` nodes scattered over the numbers by a stride, each with one far neighbour. */
function cliques(count: number, size: number) {
  const n = count * size;
  const at = (i: number) => (i * 101) % n;
  const graph = allocateKnnGraph(n, size + 1);
  for (let i = 0; i < n; i++) {
    const first = Math.floor(i / size) * size;
    const mates = Array.from({ length: size - 1 }, (_, k) => at(first + ((i - first + k + 1) % size)));
    setNeighbours(graph, at(i), [at(i), ...mates, at((i + 37 * size) % n)], 'test');
  }
  return { graph, at };
}

describe('localityOrder', () => {
  it('is a permutation of the nodes of any graph', () => {
    const graphs = fc.array(fc.array(fc.integer({ min: -1, max: 29 }), { maxLength: 8 }), {
      minLength: 30,
      maxLength: 30,
    });
    fc.assert(
      fc.property(graphs, (lists) => {
        const graph = allocateKnnGraph(30, 6);
        for (const [node, list] of lists.entries()) setNeighbours(graph, node, list, 'test');
        const seen = [...localityOrder(graph)].sort((a, b) => a - b);
        assert.deepEqual(
          seen,
          Array.from({ length: 30 }, (_, i) => i),
        );
      }),
    );
  });

  it('puts the members of a clique side by side, wherever they stood', () => {
    const size = 10;
    const { graph, at } = cliques(50, size);
    const order = localityOrder(graph);
    const position = new Int32Array(graph.nodeCount);
    for (let p = 0; p < order.length; p++) position[order[p]] = p;
    for (let c = 0; c < 50; c++) {
      const places = Array.from({ length: size }, (_, k) => position[at(c * size + k)]);
      assert.equal(Math.max(...places) - Math.min(...places), size - 1);
    }
  });
});
