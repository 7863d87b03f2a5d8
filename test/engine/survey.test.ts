import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { type Survey, surveyPlan } from '../../src/engine/survey.js';
import { runPlan } from '../../src/execution/plan.js';
import { RandomStream } from '../../src/graph/random.js';
import { locateSource } from '../../src/io/feature-source.js';
import { locateFeatures } from '../../src/io/features.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { writeNpz } from '../../src/io/npy-writer.js';
import { label } from '../../src/jobs/label.js';
import { train } from '../../src/jobs/train.js';
import { findKnn } from '../../src/knn/find.js';
import { python, without } from '../io/python.js';
import { randomPairwise } from './fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-survey-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const n = 300;
const dim = 12;

function randomRows(): Float32Array {
  const random = new RandomStream(1, 1, 0);
  return Float32Array.from({ length: n * dim }, () => random.gaussian());
}

async function inMemory(rows: Float32Array): Promise<MatrixLocation> {
  return locateSource({ rows, dim });
}

function survey(features: MatrixLocation, ranges = 3): Survey {
  return runPlan(surveyPlan(features, true, ranges));
}

function flipped(from: string, position: number, to: string): string {
  const bytes = readFileSync(at(from));
  bytes[position] ^= 1;
  writeFileSync(at(to), bytes);
  return at(to);
}

const mismatch = {
  code: 'BAD_INPUT',
  message: /\.npz:\w+: its bytes do not match their checksum: the file is damaged/,
};

describe('the checksum of an archive', () => {
  it('is that of its bytes, whoever reads which', async () => {
    await writeNpz(at('x.npz'), (add) => add('embs', 'f4', [n, dim], randomRows()));
    const features = await locateFeatures(at('x.npz'));
    for (const ranges of [1, 2, 7, 300, 1000]) assert.equal(survey(features, ranges).badRows.length, 0);
  });

  it('finds one bit that is not as it was, in the first row, in the last, and between', async () => {
    const size = readFileSync(at('x.npz')).length;
    const start = 200; // behind both headers
    for (const position of [start, start + 5000, start + n * dim * 4 - 200]) {
      assert.ok(position < size);
      const features = await locateFeatures(flipped('x.npz', position, 'flipped.npz'));
      for (const ranges of [1, 5]) assert.throws(() => survey(features, ranges), mismatch);
    }
  });

  it('stands before knn, label and train', async () => {
    const features = flipped('x.npz', 3000, 'damaged.npz');
    await assert.rejects(findKnn(await locateFeatures(features), { k: 5 }), mismatch);
    const { graph } = await findKnn(await locateFeatures(at('x.npz')), { k: 20 });
    await assert.rejects(label({ features, knn: graph, model: randomPairwise(20, 1) }), mismatch);
    const labels = Int32Array.from({ length: n }, (_, row) => row % 30);
    await assert.rejects(train({ features, knn: graph, labels }), mismatch);
  });

  it('is that of graphs and labels too', async () => {
    const { graph } = await findKnn(await locateFeatures(at('x.npz')), { k: 20 });
    await writeNpz(at('k.npz'), (add) => add('knn', 'i4', [n, 21], graph.ids));
    const labels = Int32Array.from({ length: n }, (_, row) => row % 30);
    await writeNpz(at('y.npz'), (add) => add('labels', 'i4', [n], labels));
    const input = { features: at('x.npz'), knn: graph };
    // The lowest bit of an id or a label: it is still one that could be.
    const knn = flipped(
      'k.npz',
      readFileSync(at('k.npz')).indexOf(Buffer.from(graph.ids.buffer, 21 * 4 * 100, 84)) + 8,
      'kd.npz',
    );
    await assert.rejects(label({ ...input, knn, model: randomPairwise(20, 1) }), mismatch);
    const damaged = flipped(
      'y.npz',
      readFileSync(at('y.npz')).indexOf(Buffer.from(labels.buffer, 400, 80)) + 8,
      'yd.npz',
    );
    await assert.rejects(train({ ...input, labels: damaged }), mismatch);
  });

  it('is right for every type, byte order and layout that NumPy writes, with bytes behind the array', {
    skip: without('numpy'),
  }, async () => {
    python(
      `import io, sys, zipfile, numpy as np
x = np.random.default_rng(0).normal(size=(300, 12))
kinds = [x.astype(t) for t in ('f2', '<f4', '>f4', '<f8', '>f8')] + [np.asfortranarray(x.astype(t)) for t in ('f2', '<f4', '>f8')]
for i, array in enumerate(kinds):
    file = io.BytesIO(); np.save(file, array)
    with zipfile.ZipFile(f'{sys.argv[1]}/{i}.npz', 'w') as z: z.writestr('embs.npy', file.getvalue() + b'behind' * (i % 2))`,
      folder,
    );
    for (let i = 0; i < 8; i++) {
      assert.equal(survey(await locateFeatures(at(`${i}.npz`)), 4).badRows.length, 0);
      const features = await locateFeatures(flipped(`${i}.npz`, 4000, 'flipped.npz'));
      assert.throws(() => survey(features, 4), mismatch);
    }
    const behind = await locateFeatures(
      flipped('1.npz', readFileSync(at('1.npz')).lastIndexOf('behind'), 'flipped.npz'),
    );
    assert.throws(() => survey(behind), mismatch);
  });
});

describe('rows that cannot be used', () => {
  const rows = randomRows();
  const bad = [3, 17, 40, 41, 150, 299];
  rows.fill(0, 3 * dim, 4 * dim);
  rows[17 * dim + 4] = Number.NaN;
  rows[40 * dim] = Number.POSITIVE_INFINITY;
  rows[41 * dim + 1] = Number.NEGATIVE_INFINITY;
  rows[41 * dim + 2] = Number.POSITIVE_INFINITY;
  rows.fill(-0, 150 * dim, 151 * dim);
  rows[299 * dim + dim - 1] = Number.NaN;
  // These can be: values whose squares are no float32, and a sum of zero.
  rows.fill(1e38, 5 * dim, 6 * dim);
  rows.fill(1e-40, 6 * dim, 7 * dim);

  const told =
    /^features in memory: 6 rows cannot be used: row 3 is all zeros, row 17 column 4 is NaN, row 40 column 0 is Infinity, row 41 column 1 is -Infinity, row 150 is all zeros, and 1 more, expected finite/;

  it('are all found', async () => {
    assert.deepEqual([...survey(await inMemory(rows)).badRows], bad);
  });

  it('are refused with their count and the first of them', async () => {
    await assert.rejects(findKnn(await inMemory(rows), { k: 5 }), { code: 'BAD_INPUT', message: told });
    const { graph } = await findKnn(await inMemory(rows), { k: 20, badRows: 'skip' });
    const input = { features: { rows, dim }, knn: graph };
    await assert.rejects(label({ ...input, model: randomPairwise(20, 1) }), { code: 'BAD_INPUT', message: told });
    const labels = Int32Array.from({ length: n }, (_, row) => row % 30);
    await assert.rejects(train({ ...input, labels }), { code: 'BAD_INPUT', message: told });
  });

  it('are left out on request: of knn, and of label whatever graph it gets', async () => {
    const notices: string[] = [];
    const found = await findKnn(await inMemory(rows), { k: 20, badRows: 'skip', onNotice: (m) => notices.push(m) });
    const { graph } = found;
    assert.equal(found.badRows, 6);
    assert.match(notices[0], /6 rows cannot be used: .*: left out$/);
    const listed = new Set<number>();
    for (let row = 0; row < n; row++) {
      const list = graph.ids.subarray(row * 21 + 1, (row + 1) * 21);
      if (bad.includes(row)) assert.deepEqual([...list], Array(20).fill(-1));
      else for (const id of list) listed.add(id);
    }
    assert.ok(!bad.some((row) => listed.has(row)) && !listed.has(-1));

    const good = [...Array(n).keys()].filter((row) => !bad.includes(row));
    const kept = Float32Array.from(good.flatMap((row) => [...rows.subarray(row * dim, (row + 1) * dim)]));
    const model = randomPairwise(20, 2);
    const { graph: ownGraph } = await findKnn(await locateSource({ rows: kept, dim }), { k: 20 });
    const alone = await label({ features: { rows: kept, dim }, knn: ownGraph, model, threshold: 0.5 });
    // As other tools make it: bad rows are in lists and have some.
    const foreign = { ...graph, width: 23, ids: new Int32Array(n * 23) };
    for (let row = 0; row < n; row++) {
      const list = bad.includes(row) ? good.slice(0, 20) : graph.ids.subarray(row * 21 + 1, (row + 1) * 21);
      foreign.ids.set([row, bad[row % 6], ...list.slice(0, 10), bad[(row + 1) % 6], ...list.slice(10)], row * 23);
    }
    for (const knn of [graph, foreign]) {
      const input = {
        features: { rows, dim },
        knn,
        model,
        threshold: 0.5,
        badRows: 'skip',
        graphCheck: 'skip',
      } as const;
      const { labels, summary } = await label(input);
      assert.deepEqual(
        Int32Array.from(good, (row) => labels[row]),
        alone.labels,
      );
      assert.ok(bad.every((row) => labels[row] === -1));
      assert.equal(summary.badRows, 6);
      assert.equal(summary.unlabelled, 6);
      assert.equal(summary.nodes, n);
    }
  });

  it('are too many when no row is left', async () => {
    const features = await inMemory(new Float32Array(3 * dim));
    await assert.rejects(findKnn(features, { k: 2, badRows: 'skip' }), {
      code: 'BAD_INPUT',
      message: /no other is left/,
    });
  });
});

describe('copies of rows', () => {
  it('are found, whatever rows are like', async () => {
    const value = fc.constantFrom(0, -0, 1, -1, 0.5, 3e38, 1e-45);
    const rowOf = fc.array(value, { minLength: 3, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(rowOf, { minLength: 1, maxLength: 60 }), async (rows) => {
        const features = await locateSource({ rows: Float32Array.from(rows.flat()), dim: 3 });
        const { badRows, firstEqual } = survey(features, 4);
        const keyOf = (row: number[]) => row.map((x) => (Object.is(x, -0) ? '-0' : String(Math.fround(x)))).join();
        const zero = (row: number[]) => row.every((x) => x === 0);
        assert.deepEqual(
          [...badRows],
          [...rows.keys()].filter((i) => zero(rows[i])),
        );
        const first = rows.map((row, i) => (zero(row) ? i : rows.findIndex((other) => keyOf(other) === keyOf(row))));
        assert.deepEqual([...(firstEqual ?? rows.keys())], first);
      }),
      { numRuns: 60 },
    );
  });
});
