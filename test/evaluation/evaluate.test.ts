import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { NaanError } from '../../src/errors.js';
import { type EvaluateOptions, type Evaluation, evaluate } from '../../src/evaluation/evaluate.js';
import { readLabels } from '../../src/io/labels.js';
import {
  caseNames,
  modelCaseNames,
  publishedFolder,
  publishedTruth,
  readCase,
  readTruth,
} from '../cluster/stored-cases.js';

function close(got: number, wanted: number, what: string): void {
  assert.ok(Math.abs(got - wanted) <= 1e-9, `${what}: got ${got}, expected ${wanted}`);
}

function closeAll(got: unknown, wanted: unknown, what: string): void {
  if (typeof wanted === 'number') {
    close(got as number, wanted, what);
    return;
  }
  assert.deepEqual(Object.keys(got as object), Object.keys(wanted as object), what);
  for (const [key, value] of Object.entries(wanted as object)) {
    closeAll((got as Record<string, unknown>)[key], value, `${what}.${key}`);
  }
}

const triple = ([precision, recall, f]: number[]) => ({ precision, recall, f });

for (const name of caseNames) {
  test(`${name}: figures equal the stored ones for every stored labelling`, async () => {
    const { expected } = await readCase(name);
    const truth = await readTruth(name);
    for (const stored of expected.propagation) {
      const result = evaluate(Int32Array.from(stored.labels), truth);
      closeAll(result.all.bcubed, triple(stored.bcubed ?? stored.bcubed_unlabelled_alone), 'bcubed');
      closeAll(result.all.pairwise, triple(stored.pairwise ?? stored.pairwise_unlabelled_alone), 'pairwise');
      closeAll(result.withoutSingletons.bcubed, triple(stored.bcubed_clean), 'bcubed without singletons');
      close(result.discardRatio, stored.discard_ratio, 'discard ratio');
      assert.equal(result.clusters, stored.clusters);
      assert.equal(result.identities, new Set(truth).size);
    }
  });
}

for (const name of modelCaseNames) {
  test(`${name}: stored numbers of singletons`, async () => {
    const { expected } = await readCase(name);
    const truth = await readTruth(name);
    for (const { labels, singletons } of expected.propagation) {
      assert.equal(evaluate(Int32Array.from(labels), truth).singletons, singletons);
    }
  });
}

test('labels of the published code on real data: its own BCubed figures', async (t) => {
  if (publishedFolder === undefined || publishedTruth === undefined) return t.skip('../shared is not there');
  const { expected } = await readCase(publishedFolder);
  const { codes: truth } = await readLabels(publishedTruth);
  assert.equal(expected.cases.length, 5);
  for (const { file, bcubed, clusters } of expected.cases) {
    const result = evaluate((await readLabels(path.join(publishedFolder, file))).codes, truth);
    closeAll(result.all.bcubed, triple(bcubed), file);
    assert.equal(result.clusters, clusters);
  }
});

/** The definitions, pair by pair and row by row. */
function bruteForce(
  predicted: readonly number[],
  truth: readonly number[],
  { unlabelled }: EvaluateOptions,
): Evaluation {
  const all = predicted.flatMap((cluster, row) => {
    if (truth[row] === -1 || (cluster === -1 && unlabelled === 'drop')) return [];
    const alone = cluster === -1 && unlabelled !== 'cluster';
    return [{ cluster: alone ? `row ${row}` : `${cluster}`, identity: truth[row], labelled: !alone }];
  });
  const size = (rows: typeof all, row: (typeof all)[number]) => rows.filter((r) => r.cluster === row.cluster).length;
  const kept = all.filter((row) => size(all, row) > 1);
  const maxOf = (cluster: string) => {
    const identities = all.filter((row) => row.cluster === cluster).map((row) => row.identity);
    return Math.max(...identities.map((identity) => identities.filter((other) => other === identity).length));
  };
  const clusters = [...new Set(all.map((row) => row.cluster))];
  return {
    all: bruteForceAgreement(all),
    withoutSingletons: bruteForceAgreement(kept),
    discardRatio: 1 - kept.length / all.length,
    clusters: new Set(all.filter((row) => row.labelled).map((row) => row.cluster)).size,
    singletons: all.filter((row) => row.labelled && size(all, row) === 1).length,
    identities: new Set(all.map((row) => row.identity)).size,
    purity: clusters.reduce((sum, cluster) => sum + maxOf(cluster), 0) / all.length,
  };
}

function bruteForceAgreement(rows: readonly { cluster: string; identity: number }[]): Evaluation['all'] {
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  const measure = (precision: number, recall: number) => {
    return { precision, recall, f: share(2 * precision * recall, precision + recall) };
  };
  let [precision, recall] = [0, 0];
  let [pairsBoth, pairsCluster, pairsIdentity] = [0, 0, 0];
  for (const row of rows) {
    const cluster = rows.filter((other) => other.cluster === row.cluster);
    const identity = rows.filter((other) => other.identity === row.identity);
    const both = cluster.filter((other) => other.identity === row.identity);
    precision += both.length / cluster.length;
    recall += both.length / identity.length;
    pairsBoth += both.length - 1;
    pairsCluster += cluster.length - 1;
    pairsIdentity += identity.length - 1;
  }
  const entropy = (names: unknown[]) => {
    const shares = [...new Set(names)].map((name) => names.filter((other) => other === name).length / names.length);
    return shares.reduce((sum, p) => sum - p * Math.log(p), 0);
  };
  const ofClusters = entropy(rows.map((row) => row.cluster));
  const ofIdentities = entropy(rows.map((row) => row.identity));
  const ofBoth = entropy(rows.map((row) => `${row.cluster} ${row.identity}`));
  const information = ofClusters + ofIdentities - ofBoth;
  const single = rows.length > 0 && ofClusters === 0 && ofIdentities === 0;
  return {
    bcubed: measure(share(precision, rows.length), share(recall, rows.length)),
    pairwise: measure(share(pairsBoth, pairsCluster), share(pairsBoth, pairsIdentity)),
    nmi: single ? 1 : share(2 * information, ofClusters + ofIdentities),
  };
}

test('every figure equals its definition, counted row by row', () => {
  const row = fc.record({ cluster: fc.integer({ min: -1, max: 7 }), identity: fc.integer({ min: -1, max: 6 }) });
  const rows = fc.array(row, { minLength: 1, maxLength: 30 });
  const unlabelled = fc.constantFrom('alone' as const, 'cluster' as const, 'drop' as const);
  fc.assert(
    fc.property(rows, unlabelled, (table, how) => {
      const predicted = table.map(({ cluster }) => cluster);
      const truth = table.map(({ identity }) => identity);
      fc.pre(table.some((r) => r.identity !== -1 && (how !== 'drop' || r.cluster !== -1)));
      const options = { unlabelled: how };
      const result = evaluate(Int32Array.from(predicted), Int32Array.from(truth), options);
      closeAll(result, bruteForce(predicted, truth, options), '');
    }),
    { numRuns: 1000 },
  );
});

test('worked by hand', () => {
  // Clusters {0, 1, 2}, {3}, {4, 5}; identities {0, 1}, {2, 3}, {4, 5}.
  const result = evaluate(Int32Array.of(5, 5, 5, 9, 2, 2), Int32Array.of(1, 1, 2, 2, 3, 3));
  const bcubed = { precision: (2 / 3 + 2 / 3 + 1 / 3 + 3) / 6, recall: (2 + 1 / 2 + 1 / 2 + 2) / 6 };
  close(result.all.bcubed.precision, bcubed.precision, 'precision');
  close(result.all.bcubed.recall, bcubed.recall, 'recall');
  closeAll(result.all.pairwise, { precision: 2 / 4, recall: 2 / 3, f: 4 / 7 }, 'pairwise');
  closeAll(result.withoutSingletons.pairwise, { precision: 2 / 4, recall: 1, f: 2 / 3 }, 'pairwise');
  close(result.discardRatio, 1 / 6, 'discard ratio');
  close(result.purity, 5 / 6, 'purity');
  assert.deepEqual([result.clusters, result.singletons, result.identities], [3, 1, 3]);
});

test('what −1 is: alone, one cluster, or not counted', () => {
  const at = (unlabelled: EvaluateOptions['unlabelled']) => {
    return evaluate(Int32Array.of(0, 0, -1, -1), Int32Array.of(7, 7, 8, 9), unlabelled ? { unlabelled } : {});
  };
  assert.equal(at('alone').all.bcubed.precision, 1);
  assert.equal(at('cluster').all.bcubed.precision, 3 / 4);
  assert.equal(at('drop').all.bcubed.recall, 1);
  assert.deepEqual(
    (['alone', 'cluster', 'drop'] as const).map((how) => at(how).clusters),
    [1, 2, 1],
  );
  assert.deepEqual(
    (['alone', 'cluster', 'drop'] as const).map((how) => at(how).discardRatio),
    [0.5, 0, 0],
  );
  assert.deepEqual(at(undefined), at('alone'));
});

test('equal partitions score 1 everywhere; a single group each too', () => {
  const one = { precision: 1, recall: 1, f: 1 };
  for (const truth of [Int32Array.of(3, 1, 1, 3, 3), Int32Array.of(4, 4)]) {
    const { all, purity } = evaluate(truth, truth);
    assert.deepEqual({ ...all, purity }, { bcubed: one, pairwise: one, nmi: 1, purity: 1 });
  }
});

test('no pair anywhere: 0, never NaN', () => {
  const zero = { precision: 0, recall: 0, f: 0 };
  const { all, withoutSingletons, discardRatio } = evaluate(Int32Array.of(0, 1), Int32Array.of(0, 1));
  assert.deepEqual(all.pairwise, zero);
  assert.deepEqual(withoutSingletons, { bcubed: zero, pairwise: zero, nmi: 0 });
  assert.equal(discardRatio, 1);
});

test('pairs are counted beyond 2^31 exactly', () => {
  // 200,000 rows in one cluster, half of each identity: 2 × C(100000, 2) of C(200000, 2) pairs.
  const count = 200_000;
  const truth = Int32Array.from({ length: count }, (_, row) => row % 2);
  const { precision, recall } = evaluate(new Int32Array(count), truth).all.pairwise;
  assert.equal(precision, (100_000 * 99_999) / ((200_000 * 199_999) / 2));
  assert.equal(recall, 1);
});

test('what cannot be compared is refused', () => {
  const refuses = (code: string, run: () => unknown) =>
    assert.throws(run, (error) => error instanceof NaanError && error.code === code);
  refuses('BAD_SHAPE', () => evaluate(new Int32Array(2), new Int32Array(3)));
  refuses('BAD_INPUT', () => evaluate(new Int32Array(0), new Int32Array(0)));
  refuses('BAD_INPUT', () => evaluate(Int32Array.of(1, 2), Int32Array.of(-1, -1)));
  refuses('BAD_INPUT', () => evaluate(Int32Array.of(-1), Int32Array.of(1), { unlabelled: 'drop' }));
});
