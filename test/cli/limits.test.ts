/** What a user may ask for is bounded: a slip of the keyboard, or a hostile file, ends in one line, and soon. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { propagate } from '../../src/cluster/propagation.js';
import { maxThreads } from '../../src/execution/threads.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { generate } from '../../src/jobs/generate.js';
import { resolve } from '../../src/options/resolve.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (name: string) => join(folder, name);
const refused = (message: RegExp) => ({ name: 'NaanError', code: 'BAD_USAGE', message });
const required = { features: 'F', knn: 'K', model: 'M', out: 'O' };

test('numbers that nobody needs', async () => {
  const label = (flags: object) => resolve('label', { flags: { ...required, ...flags }, environment: {} });
  for (const [flags, message] of [
    [{ threads: String(maxThreads + 1) }, /^--threads: got '\d+', expected an integer from 1 to \d+$/],
    [{ maxIterations: '200000000' }, /^--max-iterations: .* from 1 to 100000$/],
    [{ shards: '65537' }, /^--shards: .* from 1 to 65536$/],
    [{ batch: '65537' }, /^--batch: .* from 1 to 65536$/],
    [{ dim: '65537' }, /^--dim: .* from 1 to 65536$/],
    [{ kHops: ['1048577', '1'] }, /^--k-hops: .* from 1 to 1048576$/],
    [{ sampleHops: '1048577' }, /^--sample-hops: .* from 1 to 1048576$/],
    [{ devices: '4294967296' }, /^--devices: /],
  ] as const) {
    await assert.rejects(label(flags), refused(message));
  }
  const edges = { nodeCount: 2, offsets: Uint32Array.of(0, 1, 1), targets: Int32Array.of(1) };
  const ladder = { threshold: 0.5, step: 1e-9, maxSize: 1, start: 'all', leftovers: 'merge' } as const;
  assert.throws(
    () => propagate(edges, Float32Array.of(0.9), { ...ladder, maxIterations: 200_000_000 }),
    refused(/max iterations: got 200000000, expected 0 to 100000/),
  );
});

test('a config file that nests, grows, refers or blocks without end', async () => {
  const path = at('naan.yaml');
  const config = (yaml: string) => {
    writeFileSync(path, yaml);
    return resolve('label', { flags: { ...required, config: path }, environment: {} });
  };
  const levels = /naan\.yaml: nests more than 50 levels/;
  for (const [yaml, message] of [
    [`a: ${'['.repeat(40_000)}`, levels],
    [`a: ${'{b: '.repeat(9000)}`, levels],
    [`${'- '.repeat(20_000)}x`, levels],
    [`${'? '.repeat(20_000)}x`, levels],
    [Array.from({ length: 300 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), levels],
    [Array.from({ length: 9000 }, (_, i) => `k${i}:\n`).join(''), /has more than 1000 keys/],
    [`a: &a [1]\nb: [${'*a, '.repeat(101)}]`, /has more than 100 aliases/],
    ['#'.repeat(65_537), /has more than 65536 bytes/],
    [`${'k'.repeat(1000)}: 1`, /'k{100}…' is not an option$/],
    ['- 1', /expected lines of 'option: value'/],
    ['a: b: c', /Nested mappings/],
  ] as const) {
    await assert.rejects(config(yaml), refused(message));
  }
  const { values } = await config('# "quoted" - ? : [\nk-hops: [3, 2]\r\nstep: "0.5"\nbatch:\n    64\n');
  assert.deepEqual([values.kHops, values.step, values.batch], [[3, 2], 0.5, 64]);

  execFileSync('mkfifo', [at('fifo')]);
  for (const config of [at('fifo'), '/dev/zero', folder]) {
    const asked = resolve('label', { flags: { ...required, config }, environment: {} });
    await assert.rejects(asked, refused(/is not a plain file|illegal operation on a directory/));
  }
});

test('one edge to a node of a high number takes no memory for those below it', async () => {
  await writeNpy(at('e.npy'), 'i4', [2, 2], Int32Array.of(0, 2_000_000_000, 2_000_000_000, 7));
  await writeNpy(at('s.npy'), 'f4', [2], Float32Array.of(0.5, 0.9));
  const { code, stdout } = await naan(['sweep', '--edges', at('e.npy'), '--scores', at('s.npy'), '--json']);
  assert.equal(code, 0);
  const { nodes, points } = JSON.parse(stdout);
  assert.equal(nodes, 2_000_000_001);
  assert.deepEqual(points[60], { threshold: 0.6, clusters: 2, singletons: 1, largest: 2 });
});

test('a set that no memory holds is refused before it is made', async () => {
  const options = { out: at('set'), plantedKnn: true };
  await assert.rejects(generate({ ...options, ids: 50_000_001 }), refused(/ids is 50000001/));
  const large = { name: 'NaanError', code: 'OUT_OF_MEMORY' };
  await assert.rejects(generate({ ...options, ids: 50_000_000, k: 2 ** 18 }), large);
  await assert.rejects(generate({ ...options, nodes: 2 ** 31 - 1, k: 2 ** 12 }), large);
  assert.ok(!existsSync(at('set')));
});

test('memory that is not there has an exit code of its own', async () => {
  const { code, stderr } = await naan(['generate', '--out', at('set'), '--ids', '50000000', '--dim', '65536']);
  assert.match(
    stderr,
    /^naan generate: .*set: a set of this size: .* GiB of memory are needed, but .* GiB may be taken\n$/,
  );
  assert.equal(code, 3);
});

test('a command that is starting all the threads it may have ends when it is asked to', async () => {
  const run = start(['doctor', '--threads', String(maxThreads)]);
  await run.said(/limits/);
  run.child.kill('SIGTERM');
  assert.equal((await run.ended).code, 143);
});
