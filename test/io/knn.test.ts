import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { allocateKnnGraph, setNeighbours } from '../../src/graph/knn-graph.js';
import { readKnn } from '../../src/io/knn.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { python, temporaryFolder, without } from './python.js';

const skip = without('numpy');

// Six nodes: usual rows, the node misplaced, missing or repeated, and −1 amid neighbours.
const lists = [
  [0, 1, 2, 3],
  [2, 1, 0, 3],
  [2, -1, 5, 0],
  [0, 1, 2, 4],
  [4, 4, 3, 3],
  [5, -1, -1, -1],
];

test('every integer type, both orders and both layouts give the same graph', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const names = python(
    `import numpy as np, sys, os, json
os.chdir(sys.argv[1])
lists = np.array(json.loads(sys.argv[2]))
def save(name, x):
  for order in 'CF':
    y = np.array(x, order=order)
    np.save(f'{name}_{order}.npy', y); print(f'{name}_{order}.npy')
    key = 'data' if x.ndim == 3 else 'knn'
    np.savez(f'{name}_{order}.npz', **{key: y}); print(f'{name}_{order}.npz')
    np.savez_compressed(f'{name}_{order}_deflated.npz', **{key: y}); print(f'{name}_{order}_deflated.npz')
for kind in ['i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8']:
  for end in '<>':
    x = lists if kind[0] == 'i' else np.where(lists < 0, np.arange(6)[:, None], lists)
    save(f"{kind}{'le' if end == '<' else 'be'}", x.astype(end + kind))
for kind in ['f4', 'f8', 'i8']:
  save('pairs_' + kind, np.stack([lists, np.full(lists.shape, 1 if kind == 'i8' else .25)], 1).astype(kind))`,
    folder,
    JSON.stringify(lists),
  );
  const files = names.trim().split('\n');
  assert.equal(files.length, (16 + 3) * 6);
  for (const file of files) {
    for (const columns of [undefined, 3, 1, 9]) {
      const width = Math.min(columns ?? 4, 4);
      const expected = allocateKnnGraph(6, width);
      for (const [node, list] of lists.entries()) setNeighbours(expected, node, list, 'expected');
      const graph = await readKnn(join(folder, file), { nodeCount: 6, columns });
      assert.ok(graph.ids.buffer instanceof SharedArrayBuffer);
      assert.deepEqual(
        { ...graph, ids: [...graph.ids] },
        { ...expected, ids: [...expected.ids] },
        `${file} ${columns}`,
      );
    }
  }
});

test('any lists are read as setNeighbours sets them', async (t) => {
  const path = join(temporaryFolder(t), 'knn.npy');
  const graphs = fc
    .record({ nodeCount: fc.integer({ min: 1, max: 12 }), k: fc.integer({ min: 1, max: 6 }), columns: fc.nat(7) })
    .chain(({ nodeCount, k, columns }) => {
      const id = fc.integer({ min: -1, max: nodeCount - 1 });
      const row = fc.array(id, { minLength: k, maxLength: k });
      return fc.record({
        rows: fc.array(row, { minLength: nodeCount, maxLength: nodeCount }),
        columns: fc.constant(columns + 1),
        type: fc.constantFrom('i4' as const, 'i8' as const),
      });
    });
  await fc.assert(
    fc.asyncProperty(graphs, async ({ rows, columns, type }) => {
      const k = rows[0].length;
      await writeNpy(path, type, [rows.length, k], Int32Array.from(rows.flat()));
      const expected = allocateKnnGraph(rows.length, Math.min(columns, k));
      for (const [node, list] of rows.entries()) setNeighbours(expected, node, list, path);
      assert.deepEqual([...(await readKnn(path, { columns })).ids], [...expected.ids]);
    }),
    { numRuns: 60 },
  );
});

test('a file of several windows keeps its rows in place and tells how far it is', async (t) => {
  const path = join(temporaryFolder(t), 'knn.npy');
  const nodeCount = 300_000; // × 5 × 8 bytes: three windows
  const ids = Int32Array.from({ length: nodeCount * 5 }, (_, i) => (Math.floor(i / 5) + (i % 5)) % nodeCount);
  await writeNpy(path, 'i8', [nodeCount, 5], ids);
  const graph = await readKnn(path, { onProgress: (event) => assert.ok(event.done <= event.total) });
  assert.ok(Buffer.from(graph.ids.buffer).equals(Buffer.from(ids.buffer)));
});

test('a bad id is named with file, row and column', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
x = np.arange(12).reshape(4, 3) % 4
def save(name, value, kind):
  y = x.astype(kind); y[2, 1] = value
  np.save(name + '_C.npy', y); np.save(name + '_F.npy', np.asfortranarray(y))
  z = np.stack([y, y * 0], 1); np.save(name + '_pairs.npy', z); np.save(name + '_pairs_F.npy', np.asfortranarray(z))
save('large', 4, 'i4'); save('low', -2, 'i2'); save('huge', 2**33 + 1, 'i8'); save('unsigned', 2**64 - 1, 'u8')
y = np.stack([x, x], 1).astype('f4'); y[2, 0, 1] = 1.5; np.save('fraction_pairs.npy', y); np.save('fraction_pairs_F.npy', np.asfortranarray(y))`,
    folder,
  );
  const values = { large: '4', low: '-2', huge: '8589934593', unsigned: '18446744073709551615', fraction: '1.5' };
  for (const [name, value] of Object.entries(values)) {
    for (const order of name === 'fraction' ? ['pairs', 'pairs_F'] : ['C', 'F', 'pairs', 'pairs_F']) {
      const path = join(folder, `${name}_${order}.npy`);
      const message = `${path}: row 2, column 1: neighbour id ${value} is out of range, expected 0..3 or -1 for none`;
      await assert.rejects(readKnn(path), { code: 'BAD_INPUT', message });
    }
  }
});

test('what cannot be the kNN graph of the features is refused', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `import numpy as np, sys, os
os.chdir(sys.argv[1])
x = np.zeros((4, 3), 'i8'); x[:, 0] = range(4)
np.save('ok.npy', x); np.save('floats.npy', x.astype('f4')); np.save('halves.npy', np.stack([x, x], 1).astype('f2'))
np.save('flat.npy', x[0]); np.save('cube.npy', np.stack([x, x, x], 1)); np.save('none.npy', x[:0]); np.savez('other.npz', a=x, b=x)`,
    folder,
  );
  const refuse = (name: string, expected: object, nodeCount?: number) => {
    return assert.rejects(readKnn(join(folder, name), { nodeCount }), expected);
  };
  await refuse('ok.npy', { code: 'BAD_SHAPE', message: /has 4 rows and the features 5/ }, 5);
  await refuse('ok.npy', { code: 'BAD_SHAPE', message: /has 4 rows and the features 3/ }, 3);
  await refuse('floats.npy', { code: 'BAD_INPUT', message: /dtype f4, expected a kNN graph of integers/ });
  await refuse('halves.npy', { code: 'BAD_INPUT', message: /dtype f2/ });
  await refuse('flat.npy', { code: 'BAD_SHAPE', message: /shape \(3\), expected a kNN graph/ });
  await refuse('cube.npy', { code: 'BAD_SHAPE', message: /shape \(4,3,3\)/ });
  await refuse('none.npy', { code: 'BAD_SHAPE', message: /shape \(0,3\)/ });
  await refuse('other.npz', {
    code: 'BAD_INPUT',
    message: /has no array 'knn' or of another usual name, found: 'a' \(4,3\) <i8, 'b'/,
  });
});
