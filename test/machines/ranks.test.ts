/** Ranks over a shared folder: the same bytes as one process, whatever dies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from '../../src/checksum.js';
import { label, labelShare } from '../../src/jobs/label.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { appeared } from './appeared.js';
import { alone, smallFlags, smallRun, smallSet } from './small-set.js';

for (const head of ['pairwise', 'concat'] as const) {
  test(`${head}: two and three ranks make what one process makes`, async (t) => {
    const folder = temporaryFolder((clean) => t.after(clean));
    const set = await smallSet(folder, head);
    const expected = await alone(set, head);
    for (const ranks of [2, 3]) {
      const workDir = join(folder, `work-${ranks}`);
      const options = { ...smallRun(set, head), workDir, cluster: 'files', ranks };
      const others = Array.from({ length: ranks - 1 }, (_, i) => labelShare({ ...options, rank: i + 1 }));
      const [{ labels, edges }] = await Promise.all([label({ ...options, rank: 0 }), ...others]);
      assert.deepEqual({ labels, edges }, expected);
      assert.deepEqual(readdirSync(join(workDir, 'rank-1')), [], 'what the ranks left is removed');
    }
  });
}

test('ranks that label by the general model know what chance gives in the whole set', async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const run = { ...smallRun(set, 'pairwise'), model: undefined };
  const { labels, edges } = await label(run);
  const options = { ...run, workDir: join(folder, 'work'), cluster: 'files', ranks: 2 };
  const [first] = await Promise.all([label({ ...options, rank: 0 }), labelShare({ ...options, rank: 1 })]);
  assert.deepEqual({ labels: first.labels, edges: first.edges }, { labels, edges });
});

test('ranks that were killed go on, and a segment that was changed since is computed again', async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const expected = await alone(set, 'pairwise');
  const [work, out] = [join(folder, 'work'), join(folder, 'out')];
  const rank = (r: number) => [
    ...smallFlags(set, 'pairwise'),
    ...['--out', out, '--work-dir', work, '--cluster', 'files', '--ranks', '2', '--rank', String(r)],
  ];
  const [first, second] = [join(work, 'rank-0'), join(work, 'rank-1')];
  // Alone, each gets as far as it can without the other.
  await killedAfter(rank(1), second, /^load-0\.1\..*manifest$/);
  await killedAfter(rank(0), first, /^load-0\.1\..*manifest$/);
  const [segment] = readdirSync(second).filter((name) => name.endsWith('.rows'));
  const bytes = readFileSync(join(second, segment));
  bytes[300] ^= 1;
  writeFileSync(join(second, segment), bytes);
  const again = start(rank(1).filter((flag) => flag !== '--quiet'));
  await appeared(second, /^load-0\.2\..*manifest$/);
  const outcome = await naan(rank(0));
  assert.equal(outcome.code, 0, outcome.stderr);
  const other = await again.ended;
  assert.equal(other.code, 0, other.stderr);
  assert.match(other.stderr, /goes on with the run.*\n.*shards whose files are not as they were written.*load 1/);
  const scores = readFileSync(join(out, 'small_scores.npy')).subarray(-expected.edges!.scores.byteLength);
  assert.deepEqual(scores, Buffer.from(expected.edges!.scores.buffer));
  const labels = readFileSync(join(out, 'small_labels.txt'), 'utf8').trimEnd().split('\n').map(Number);
  assert.deepEqual(labels, [...expected.labels]);

  // Its run.json runs again what one process makes, and asks for no ranks.
  const repeated = await naan(['label', '--config', join(out, 'run.json'), '--out', join(folder, 'again'), '--quiet']);
  assert.equal(repeated.code, 0, repeated.stderr);
  for (const name of ['small_labels.txt', 'small_scores.npy']) {
    assert.deepEqual(readFileSync(join(folder, 'again', name)), readFileSync(join(out, name)), name);
  }
});

test('what another rank has left is refused where it is not as it was written, or is not what that rank makes', async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'pairwise');
  const whole = join(folder, 'whole');
  const options = { ...smallRun(set, 'pairwise'), cluster: 'files', ranks: 2 } as const;
  const ended = new AbortController();
  const other = labelShare({ ...options, rank: 1, workDir: whole, signal: ended.signal });
  await appeared(join(whole, 'rank-1'), /^load-0\.1\..*manifest$/);
  ended.abort();
  await assert.rejects(other, { code: 'CANCELLED' });

  const refused = async (damage: (rank: string) => void, message: RegExp) => {
    const workDir = join(folder, 'work');
    rmSync(workDir, { recursive: true, force: true });
    cpSync(whole, workDir, { recursive: true });
    damage(join(workDir, 'rank-1'));
    await assert.rejects(label({ ...options, rank: 0, workDir }), { code: 'BAD_INPUT', message });
  };
  const named = (rank: string, ending: string) => join(rank, readdirSync(rank).find((name) => name.endsWith(ending))!);
  const changed = /\.rows: is not as it was written: the same command of the rank that wrote it computes it again/;
  await refused((rank) => {
    const path = named(rank, '.rows');
    const bytes = readFileSync(path);
    bytes[300] ^= 1;
    writeFileSync(path, bytes);
  }, changed);
  await refused((rank) => {
    const path = named(rank, '.rows');
    rmSync(path);
    execFileSync('mkfifo', [path]);
  }, changed);
  const listing = (change: (left: [number, { file: string }[]][]) => unknown) => (rank: string) => {
    const path = named(rank, '.manifest');
    const manifest = JSON.parse(readFileSync(path, 'utf8').split('\n')[1]);
    const body = Buffer.from(JSON.stringify({ ...manifest, left: change(manifest.left) }));
    writeFileSync(path, `${crc32(body).toString(16)}\n${body}`);
  };
  const others = /rank-1: lists other segments of stage 'load' than rank 1 makes/;
  await refused(
    listing((left) => left.slice(1)),
    others,
  );
  await refused(
    listing(([[, checks], ...left]) => [[0, checks], ...left]),
    others,
  );
  await refused(
    listing(([[first, one], [second, two], ...left]) => [[first, two], [second, one], ...left]),
    others,
  );
});

test('ranks with other options than the rest are refused in one line, as are options that do not go together', async (t) => {
  const folder = temporaryFolder((clean) => t.after(clean));
  const set = await smallSet(folder, 'concat');
  const options = { ...smallRun(set, 'concat'), workDir: join(folder, 'work'), cluster: 'files', ranks: 2 };
  const first = assert.rejects(labelShare({ ...options, rank: 1 }), {
    code: 'BAD_USAGE',
    message: 'rank 0: has sampleHops 5, here it is 8: all must be the same',
  });
  await assert.rejects(label({ ...options, rank: 0, sampleHops: 5 }), {
    code: 'BAD_USAGE',
    message: 'rank 1: has sampleHops 8, here it is 5: all must be the same',
  });
  await first;
  for (const wrong of [
    { rank: 2 },
    { rank: 0, workDir: undefined },
    { rank: 0, restart: true },
    { rank: 0, ranks: undefined },
  ]) {
    await assert.rejects(label({ ...options, ...wrong }), { code: 'BAD_USAGE' });
  }
  // Before anything is computed.
  const stages: string[] = [];
  const onProgress = ({ stage }: { readonly stage: string }) => void stages.push(stage);
  await assert.rejects(label({ ...options, rank: 0, knn: undefined, saveKnn: join(folder, 'graph.npy'), onProgress }), {
    code: 'BAD_USAGE',
    message: 'cluster: give the kNN graph as a file with --knn',
  });
  assert.deepEqual(stages, []);
});

/** Runs a command until a file appears, and kills it. */
async function killedAfter(args: string[], folder: string, name: RegExp): Promise<void> {
  const running = start(args);
  await Promise.race([appeared(folder, name), running.ended.then(({ stderr }) => assert.fail(stderr))]);
  running.child.kill('SIGKILL');
  await once(running.child, 'exit');
}
