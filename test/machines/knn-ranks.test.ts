/** Ranks that share the search for a kNN graph: the same bytes as one process, whatever dies. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SyntheticSet } from '../../src/graph/synthetic-set.js';
import { findFeatures } from '../../src/io/features.js';
import type { MatrixLocation } from '../../src/io/matrix.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { type FindKnnOptions, findKnn } from '../../src/knn/find.js';
import { searchCells } from '../../src/knn/ivf.js';
import { type KnnWork, openKnnWork } from '../../src/knn/kept-lists.js';
import { SearchShares } from '../../src/knn/shares.js';
import { unitRows } from '../../src/knn/unit-rows.js';
import { Ranks } from '../../src/machines/ranks.js';
import type { ProgressEvent } from '../../src/progress.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { appeared } from './appeared.js';

const folder = temporaryFolder(after);
const features = join(folder, 'faces.npy');
const [nodes, dim] = [3000, 32];
const expected = join(folder, 'alone.npy');

const flags = (out: string, ...more: string[]) =>
  ['knn', '--features', features, '--out', out, '--k', '10', '--method', 'ivf', '--threads', '1'].concat(more);
const rankFlags = (rank: number, ranks: number, work: string, out = join(folder, 'shared.npy')) =>
  flags(out, '--work-dir', work, '--cluster', 'files', '--rank', String(rank), '--ranks', String(ranks));

before(async () => {
  const rows = new Float32Array(nodes * dim);
  const set = new SyntheticSet({ seed: 5, split: 1, dim, extent: { nodes }, shuffle: true });
  set.rows(0, nodes, rows);
  // Copies, and a row that none is near to.
  rows.copyWithin(7 * dim, 90 * dim, 91 * dim);
  for (let c = 0; c < dim; c++) rows[11 * dim + c] = c === 3 ? -1 : 0;
  await writeNpy(features, 'f4', [nodes, dim], rows);
  const { code, stderr } = await naan(flags(expected, '--quiet'));
  assert.equal(code, 0, stderr);
});

test('two and three processes write the graph that one process writes', async () => {
  for (const ranks of [2, 3]) {
    const [work, out] = [join(folder, `work-${ranks}`), join(folder, `of-${ranks}.npy`)];
    const running = Array.from({ length: ranks }, (_, rank) => start(rankFlags(rank, ranks, work, out)));
    const ended = await Promise.all(running.map(({ ended }) => ended));
    for (const { code, stderr } of ended) assert.equal(code, 0, stderr);
    assert.match(ended[1].stdout, /^rank 1 of \d has done its part: rank 0 writes the graph$/m);
    assert.deepEqual(readFileSync(out), readFileSync(expected));
    assert.deepEqual(readdirSync(join(work, 'rank-1')), [], 'what the ranks left is removed');
    assert.deepEqual(readdirSync(join(work, 'rank-0')), ['journal']);
  }
});

test('processes that were killed go on; what was changed meanwhile is refused by others, and left again', async (t) => {
  const [work, out] = [join(folder, 'killed'), join(folder, 'killed.npy')];
  const [first, second] = [join(work, 'rank-0'), join(work, 'rank-1')];
  // Alone, each gets as far as it can without the other.
  await killedAfter(rankFlags(0, 2, work), first, /^sample-0\.1\..*manifest$/);
  await killedAfter(rankFlags(1, 2, work), second, /^sketch-0\.1\..*manifest$/);
  const segment = readdirSync(second).find((name) => /^sketch-0-1\..*\.sketches\.rows$/.test(name))!;
  const whole = join(folder, 'whole');
  cpSync(work, whole, { recursive: true });
  const damages = [
    () => truncateSync(join(second, segment), 1000),
    () => {
      const bytes = readFileSync(join(second, segment));
      bytes[bytes.length >> 1] ^= 1;
      writeFileSync(join(second, segment), bytes);
    },
  ];
  for (const damage of damages) {
    rmSync(work, { recursive: true });
    cpSync(whole, work, { recursive: true });
    damage();
    const refused = await naan(rankFlags(0, 2, work, out));
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.stderr,
      /sketches\.rows: is not as it was written: the same command of the rank that wrote it computes it/,
    );
  }
  const again = start(rankFlags(1, 2, work, out));
  t.after(() => again.child.kill('SIGKILL'));
  await Promise.race([appeared(second, /^sketch-0\.2\..*manifest$/), failed(again)]);
  const outcome = await naan(rankFlags(0, 2, work, out));
  assert.equal(outcome.code, 0, outcome.stderr);
  const other = await again.ended;
  assert.equal(other.code, 0, other.stderr);
  assert.match(other.stderr, /goes on with the search of /);
  assert.match(other.stderr, /what it left of stage 'sketch' is not as it was written: it is left again/);
  assert.deepEqual(readFileSync(out), readFileSync(expected));
});

test('a rank that is killed behind its comparisons goes on there, and the other waits for it', async (t) => {
  const [work, out] = [join(folder, 'behind'), join(folder, 'behind.npy')];
  const waiting = start(rankFlags(0, 2, work, out));
  t.after(() => waiting.child.kill('SIGKILL'));
  await killedAfter(rankFlags(1, 2, work), join(work, 'rank-1'), /^lists-0\.1\..*manifest$/);
  const again = await naan(rankFlags(1, 2, work));
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /goes on with the search of .*: (\d+) of \1 rounds of comparisons are done\n/);
  const { code, stderr } = await waiting.ended;
  assert.equal(code, 0, stderr);
  assert.deepEqual(readFileSync(out), readFileSync(expected));
});

test('a rank that was stopped among its comparisons goes on there', async () => {
  const path = join(folder, 'stopped');
  const source = await findFeatures(features);
  const stop = new AbortController();
  const onProgress = ({ stage, done, total }: ProgressEvent) => {
    if (stage === 'compare' && done >= total / 2) stop.abort();
  };
  const stopped = findKnn(source, { ...shared(path, 1), signal: stop.signal, onProgress });
  const ended = new AbortController();
  const waiting = findKnn(source, { ...shared(path, 0), signal: ended.signal });
  await assert.rejects(stopped, { code: 'CANCELLED' });
  ended.abort();
  await assert.rejects(waiting, { code: 'CANCELLED' });

  let from = 0;
  const noteStart = (event: ProgressEvent) => {
    if (event.stage === 'compare') from = event.from ?? 0;
  };
  const [found] = await Promise.all([
    findKnn(source, shared(path, 0)),
    findKnn(source, { ...shared(path, 1), onProgress: noteStart }),
  ]);
  assert.ok(from > 0, `${from}`);
  assert.deepEqual(Buffer.from(found.graph.ids.buffer), readFileSync(expected).subarray(-found.graph.ids.byteLength));
});

test('ranks that read rows from the file, by windows, find what one process finds that has them in memory', async () => {
  const located = { features: (await findFeatures(features)) as MatrixLocation };
  const effort = { miss: 0.005, candidates: 1.75 };
  const rank = async (rank: number) => {
    const path = join(folder, 'windows');
    const request = { rowCount: nodes, rounds: 9, identity: {}, listBytes: 0, attempts: 1 };
    const work = await openKnnWork({ path, features, share: { rank, ranks: 2 } }, request);
    const group = new Ranks({ folder: path, rank, ranks: 2, identity: work.header.identity });
    const shares = new SearchShares({ rank, ranks: 2, group, work }, 0);
    try {
      return await searchCells(located, { k: 10, threads: 1, windowRows: 900, shares }, effort);
    } finally {
      await work.close();
    }
  };
  const whole = await searchCells(unitRows(located.features).handle(), { k: 10, threads: 1 }, effort);
  for (const { graph, recall } of await Promise.all([rank(0), rank(1)])) {
    assert.deepEqual(graph.ids, whole.graph.ids);
    assert.equal(recall, whole.recall);
  }
});

test('ranks try again together until the recall is met', async () => {
  const source = await findFeatures(features);
  const wanted = { k: 20, threads: 1, minRecall: 1 };
  const alone = await findKnn(source, { ...wanted, method: 'ivf' });
  assert.ok(alone.attempts > 1, `${alone.attempts}`);
  const path = join(folder, 'again');
  const ranks = [0, 1].map((rank) => findKnn(source, { ...shared(path, rank), ...wanted }));
  const [found] = await Promise.all(ranks);
  assert.deepEqual(found, alone);
});

test('ranks with other options than the rest are refused in one line, as are options that do not go together', async () => {
  const path = join(folder, 'differ');
  const source = await findFeatures(features);
  const first = assert.rejects(findKnn(source, shared(path, 1)), {
    code: 'BAD_USAGE',
    message: 'rank 0: has k 9, here it is 10: all must be the same',
  });
  await assert.rejects(findKnn(source, { ...shared(path, 0), k: 9 }), {
    code: 'BAD_USAGE',
    message: 'rank 1: has k 10, here it is 9: all must be the same',
  });
  await first;
  await assert.rejects(findKnn(source, { ...shared(path, 0), method: 'exact' }), {
    code: 'BAD_USAGE',
    message: 'method: ranks share a search by ivf, got exact: leave --cluster out, or take ivf',
  });
  const [unused, work] = [join(folder, 'unused.npy'), ['--work-dir', join(folder, 'unused')]];
  for (const wrong of [
    ['--cluster', 'files', '--rank', '0', '--ranks', '2'],
    ['--cluster', 'files', '--rank', '2', '--ranks', '2', ...work],
    ['--cluster', 'files', '--rank', '0', '--ranks', '2', '--restart', ...work],
    ['--rank', '0', '--ranks', '2', ...work],
  ]) {
    const { code, stderr } = await naan(flags(unused, ...wrong));
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^naan knn: .*(work-dir|rank|restart).*\n$/);
  }
});

/** One of two ranks, in this process. */
function shared(path: string, rank: number): FindKnnOptions {
  const work: KnnWork = { path, features, intervalMs: 0, share: { rank, ranks: 2 } };
  return { k: 10, threads: 1, work };
}

/** Runs a command until a file appears and something is in it, and kills it. */
async function killedAfter(args: string[], where: string, name: RegExp): Promise<void> {
  const running = start(args);
  const isThere = (found: string) => name.test(found) && statSync(join(where, found)).size > 0;
  await Promise.race([appeared(where, { test: isThere }), failed(running)]);
  running.child.kill('SIGKILL');
  await once(running.child, 'exit');
}

/** Fails with what a command said, should it end. */
function failed({ ended }: ReturnType<typeof start>): Promise<never> {
  return ended.then(({ stderr }) => assert.fail(stderr));
}
