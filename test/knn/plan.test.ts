import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FeatureLocation } from '../../src/io/matrix.js';
import { planSearch } from '../../src/knn/find.js';
import { describeKnnPlan } from '../../src/knn/plan.js';

const gib = 2 ** 30;
const inFile = (rowCount: number, dim: number): FeatureLocation => {
  const layout = { offset: 128, type: 'f4', littleEndian: true, fortran: false } as const;
  return { kind: 'file', path: 'faces.npy', name: 'faces.npy', rowCount, dim, ...layout };
};
const compressed = (rowCount: number, dim: number): FeatureLocation => {
  return { kind: 'deflated', name: 'faces.npz:embs', rowCount, dim, fill: async () => {} };
};

describe('the plan of a kNN search', () => {
  it('keeps rows in memory where they fit, else reads them from the file, the larger the windows the more memory', () => {
    const features = inFile(1_000_000, 512);
    const options = { k: 20, threads: 2 };
    const plans = [8, 2, 1.2].map((memory) => planSearch(features, { ...options, memory: memory * gib }));
    assert.deepEqual(
      plans.map(({ rowsIn }) => rowsIn),
      ['memory', 'file', 'file'],
    );
    assert.equal(plans[0].parts.rows, 4 * 512 * 1_000_000);
    assert.ok(plans[1].windowRows! > plans[2].windowRows!);
    assert.ok(plans[1].timesRead! < plans[2].timesRead!);
    for (const { memoryBytes, limitBytes, parts } of plans) {
      assert.ok(memoryBytes <= limitBytes);
      assert.equal(
        Object.values(parts).reduce((sum, bytes) => sum + bytes, 0),
        memoryBytes,
      );
    }
    assert.match(describeKnnPlan(plans[0]), /^about 2\.\d of 8\.0 GiB of memory: rows 1\.9, sketches 0\.25, lists/);
    assert.match(
      describeKnnPlan(plans[2]),
      /^about 1\.\d of 1\.2 GiB of memory: rows in the file, read 3 times and in the end /,
    );
  });

  it('has room for ten million rows of 512 in 12 GiB', () => {
    const plan = planSearch(inFile(10_000_000, 512), { k: 20, threads: 2, memory: 12 * gib });
    assert.equal(plan.rowsIn, 'file');
    assert.ok(plan.timesRead! < 6, `${plan.timesRead}`);
  });

  it('is refused where nothing fits, and where rows that do not fit cannot be read in place', () => {
    const options = { k: 20, threads: 2, memory: gib };
    assert.throws(() => planSearch(inFile(10_000_000, 512), options), {
      code: 'OUT_OF_MEMORY',
      message:
        /^faces\.npy: the kNN graph of 10000000 rows × 512 takes 7\.\d GiB .* by ivf, but 1\.0 GiB may be taken: give that/,
    });
    assert.throws(() => planSearch(compressed(1_000_000, 512), options), {
      code: 'OUT_OF_MEMORY',
      message: /^faces\.npz:embs: is compressed, .* with numpy\.savez/,
    });
    assert.throws(() => planSearch(inFile(1_000_000, 512), { ...options, method: 'exact' }), {
      code: 'OUT_OF_MEMORY',
      message: /or take ivf$/,
    });
  });
});
