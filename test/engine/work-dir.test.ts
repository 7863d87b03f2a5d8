import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import { readWork, WorkDir, workHeader } from '../../src/engine/work-dir.js';
import { digestFile } from '../../src/io/digest.js';
import { Journal, readJournal } from '../../src/io/journal.js';
import { writeNpy } from '../../src/io/npy-writer.js';
import { generate } from '../../src/jobs/generate.js';
import { type LabelOptions, label } from '../../src/jobs/label.js';
import { train } from '../../src/jobs/train.js';
import type { ConcatModel } from '../../src/model/model.js';
import { writeModel } from '../../src/model/model-file.js';
import { labelFlags } from '../cli/inputs.js';
import { main, naan } from '../cli/naan.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-work-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const features = join(folder, 'unlabeled/split1_feats.npz');
const knn = join(folder, 'unlabeled/split1_knn.npy');
const models = {
  concat: join(folder, 'concat.safetensors'),
  heads: join(folder, 'heads.safetensors'),
  pairwise: join(folder, 'pairwise.safetensors'),
};
const cannotMount =
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status !== 0 &&
  'unshare may not mount a small disk here';
const stagesOf = {
  concat: ['project', 'aggregate', 'embed', 'split', 'score'],
  pairwise: ['load', 'similarities', 'score'],
};

before(async () => {
  await generate({ out: folder, nodes: 1500, dim: 32, k: 30, seed: 3, plantedKnn: true, shuffle: true });
  await writeModel(models.concat, smoothedDistanceModel(32, [20, 10]));
  await writeModel(models.heads, twoHeads(smoothedDistanceModel(32, [20, 10])));
  const labeled = { features: join(folder, 'labeled/split0_feats.npz'), knn: join(folder, 'labeled/split0_knn.npy') };
  await train({ ...labeled, out: models.pairwise, head: 'pairwise', epochs: 1, seed: 1 });
});

/** The same attention twice. */
function twoHeads({ config, tensors }: ConcatModel): ConcatModel {
  const copied = [...tensors].map(([name, tensor]) => [name.replace('attn_0', 'attn_1'), tensor] as const);
  return { config: { ...config, heads: 2 }, tensors: new Map([...tensors, ...copied]) };
}

interface Shard {
  readonly stage: string;
  readonly checks: readonly { readonly start: number }[];
}

let runs = 0;
const options = (head: keyof typeof models, more: Partial<LabelOptions> = {}): LabelOptions => ({
  features,
  knn,
  model: models[head],
  shards: 7,
  batch: 64,
  threshold: 0.4,
  saveEdges: true,
  out: join(folder, `out${runs++}`),
  threads: 2,
  ...more,
});

/** The bytes of every result of a run but run.json and report.html, which tell times. */
async function results(wanted: LabelOptions): Promise<Map<string, Buffer>> {
  await label(wanted);
  const out = wanted.out!;
  const names = readdirSync(out).filter((name) => !['run.json', 'report.html'].includes(name));
  return new Map(names.sort().map((name) => [name, readFileSync(join(out, name))]));
}

/** Runs until `stop` says so of a progress event. */
async function stopped(wanted: LabelOptions, stop: (stage: string, done: number) => boolean): Promise<void> {
  const controller = new AbortController();
  await assert.rejects(
    label({
      ...wanted,
      signal: controller.signal,
      onProgress: ({ stage, done }) => void (stop(stage, done) && controller.abort()),
    }),
    { code: 'CANCELLED' },
  );
}

for (const head of ['concat', 'pairwise'] as const) {
  describe(`a work directory, head ${head}`, () => {
    for (const precision of ['f32', 'bf16'] as const) {
      it(`changes nothing in the results, rows as ${precision}`, async () => {
        const workDir = join(folder, `same-${head}-${precision}`);
        const expected = await results(options(head, { precision }));
        assert.deepEqual(await results(options(head, { precision, workDir })), expected);
        const status = readWork(workDir);
        assert.ok(status?.finished);
        assert.ok(status.done.every(({ shards }) => shards === 7));
        assert.deepEqual(readdirSync(workDir), ['journal']);
      });
    }

    it('finds a graph that is not given once: it is kept as long as it is of these features and whole', async () => {
      const alone = (more: Partial<LabelOptions> = {}) => options(head, { knn: undefined, ...more });
      const expected = await results(alone());
      for (const [change, searched] of [
        [() => undefined, false],
        [(graph: string) => truncateSync(graph, statSync(graph).size - 4), true],
        [() => utimesSync(features, new Date(), new Date()), true],
      ] as const) {
        const workDir = join(folder, `found-${head}-${runs}`);
        await stopped(alone({ workDir }), (stage) => stage === 'score');
        change(join(workDir, 'search', 'graph.npy'));
        const stages = new Set<string>();
        const onProgress = ({ stage }: { readonly stage: string }) => stages.add(stage);
        const other = label(alone({ workDir, duplicates: 'keep', onProgress }));
        await assert.rejects(other, { message: /holds a run with duplicates "collapse", got "keep"/ });
        assert.ok(!stages.has('knn'), 'it is refused before a search');
        const notices: string[] = [];
        const again = alone({
          workDir,
          threads: 3,
          onNotice: (notice) => notices.push(notice),
          onProgress,
        });
        assert.deepEqual(await results(again), expected);
        assert.deepEqual([stages.has('knn'), notices.length], [searched, searched ? 1 : 2], `${notices}`);
        assert.deepEqual(readdirSync(workDir), ['journal']);
        const run = JSON.parse(readFileSync(join(again.out!, 'run.json'), 'utf8'));
        assert.deepEqual([run.search.method, run.options.knn], ['exact', 'in memory']);
      }
    });

    it('goes on after a stop in any stage, with the same results for other threads', async () => {
      const expected = await results(options(head));
      for (const stage of stagesOf[head]) {
        const workDir = join(folder, `stop-${head}-${stage}`);
        await stopped(options(head, { workDir }), (at) => at === stage);
        const { done } = readWork(workDir)!;
        const before = done.reduce((sum, { shards }) => sum + shards, 0);
        if (stage !== stagesOf[head][0]) assert.ok(before >= 7, `${stage}: ${before}`);
        const notices: string[] = [];
        const again = options(head, { workDir, threads: 3, onNotice: (text) => notices.push(text) });
        assert.deepEqual(await results(again), expected, stage);
        assert.match(notices.join('\n'), new RegExp(`goes on with the run of .*: ${before} of `));
      }
    });
  });
}

/** Ways in which a file may be found after a crash of the machine, or of its disk. */
const damages: Record<string, (path: string) => void> = {
  gone: (path) => rmSync(path),
  short: (path) => truncateSync(path, statSync(path).size >> 1),
  flipped: (path) => {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 4;
    writeFileSync(path, bytes);
  },
  zeros: (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)),
};

for (const { head, precision, stages } of [
  { head: 'concat', precision: 'f32', stages: ['embed', 'score'] },
  { head: 'concat', precision: 'bf16', stages: ['split'] },
  { head: 'heads', precision: 'f32', stages: ['split'] },
  { head: 'pairwise', precision: 'bf16', stages: ['score'] },
] as const) {
  describe(`files of a work directory that are not as they were written, head ${head}, rows as ${precision}`, () => {
    for (const stage of stages) {
      it(`are made again, after a stop in stage ${stage}`, async () => {
        const expected = await results(options(head, { precision, threads: 1 }));
        const workDir = join(folder, `whole-${head}-${precision}-${stage}`);
        await stopped(options(head, { precision, workDir, threads: 1 }), (at) => at === stage);
        const files = readWork(workDir)!.header.files.filter((name) => existsSync(join(workDir, name)));
        for (const part of [0, 1, 2]) {
          const damaged = join(folder, `damaged-${head}-${stage}`);
          cpSync(workDir, damaged, { recursive: true });
          const told = files.map((file, i) => {
            if (i % 3 !== part) return '';
            const [damage, apply] = Object.entries(damages)[i % 4];
            apply(join(damaged, file));
            return `${file}: ${damage}`;
          });
          const again = options(head, { precision, workDir: damaged, threads: 1 });
          assert.deepEqual(await results(again), expected, told.join(' '));
          rmSync(damaged, { recursive: true });
        }
      });
    }
  });
}

describe('a work directory', () => {
  it('says which shards it computes again', async () => {
    const workDir = join(folder, 'told');
    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    const path = join(workDir, 'c.rows');
    const bytes = readFileSync(path);
    const kept = readJournal<Shard>(join(workDir, 'journal')).entries.filter(({ stage }) => stage === 'embed');
    const damaged = kept.slice(0, 2);
    for (const { checks } of damaged) bytes[checks[0].start] ^= 1;
    writeFileSync(path, bytes);
    const notices: string[] = [];
    await label(options('concat', { workDir, onNotice: (text) => notices.push(text) }));
    assert.equal(
      notices.at(-1),
      `${workDir}: shards whose files are not as they were written are computed again: embed ${damaged.length}`,
    );
  });

  it('goes on where rows of a later stage were written and not recorded', async () => {
    const expected = await results(options('concat'));
    const workDir = join(folder, 'unrecorded');
    await stopped(options('concat', { workDir }), (stage) => stage === 'split');
    const journal = join(workDir, 'journal');
    const entries = readJournal<Record<string, unknown>>(journal).entries;
    // As if it had been killed: the split has overwritten what project and aggregate wrote, and embed lost a shard.
    const kept = entries.filter(({ stage, shard }) => stage !== 'split' && !(stage === 'embed' && shard === 3));
    await (await Journal.create(journal, kept)).close();
    assert.deepEqual(await results(options('concat', { workDir })), expected);
  });

  it('is gone on with after a power cut left zeros at the end of its journal, and refused when that is damaged', async () => {
    const expected = await results(options('concat'));
    const workDir = join(folder, 'tail');
    const journal = join(workDir, 'journal');
    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    appendFileSync(journal, Buffer.alloc(8));
    assert.ok(readWork(workDir)!.done[0].shards > 0);
    assert.deepEqual(await results(options('concat', { workDir })), expected);

    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    const bytes = readFileSync(journal);
    bytes[40] ^= 1;
    writeFileSync(journal, bytes);
    const message = `${journal}: is damaged at byte 16, before its end: its disk may be failing; --restart gives the run up`;
    await assert.rejects(label(options('concat', { workDir })), { code: 'BAD_INPUT', message });
    assert.throws(() => readWork(workDir), { code: 'BAD_INPUT', message });
    assert.deepEqual(await results(options('concat', { workDir, restart: true })), expected);
    assert.deepEqual(readdirSync(workDir), ['journal']);
  });

  it('of an earlier version is refused, unless told to restart', async () => {
    const workDir = join(folder, 'older');
    mkdirSync(workDir);
    const body = Buffer.from(JSON.stringify({ naan: '0.1.0', identity: {}, stages: [] }));
    const head = Buffer.alloc(8);
    head.writeUInt32LE(body.length, 0);
    head.writeUInt32LE(crc32(body), 4);
    writeFileSync(join(workDir, 'journal'), Buffer.concat([head, body]));
    writeFileSync(join(workDir, 'a.rows'), 'rows');
    const message = `${workDir}: holds a run of an earlier naan, which this one cannot go on with: --restart gives it up`;
    await assert.rejects(label(options('concat', { workDir })), { code: 'BAD_USAGE', message });
    await label(options('concat', { workDir, restart: true }));
    assert.deepEqual(readdirSync(workDir), ['journal']);
  });

  it('leaves files of others alone', async () => {
    const workDir = join(folder, 'foreign');
    mkdirSync(workDir);
    const write = (name: string) => writeFileSync(join(workDir, name), `mine: ${name}`);
    const refused = async (message: RegExp) => {
      for (const restart of [false, true]) {
        const before = readdirSync(workDir);
        await assert.rejects(label(options('concat', { workDir, restart })), { code: 'BAD_USAGE', message });
        assert.deepEqual(readdirSync(workDir), before);
      }
    };
    for (const name of ['table.rows', 'x.column', 'x.rows', 'journal.txt', 'lock.bak', 'scores9.column']) write(name);
    write('journal');
    await refused(/foreign\/journal: is not a journal of naan: give another --work-dir, or move it away/);
    rmSync(join(workDir, 'journal'));
    write('lock');
    await refused(/foreign\/lock: is not a lock of this version of naan: /);
    rmSync(join(workDir, 'lock'));
    write('tz.column');
    await refused(
      /foreign: holds tz\.column, which no run of naan left there: give another --work-dir, or move it away/,
    );
    rmSync(join(workDir, 'tz.column'));
    const before = readdirSync(workDir);
    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    await label(options('concat', { workDir, restart: true }));
    assert.deepEqual(readdirSync(workDir).sort(), [...before, 'journal'].sort());
    for (const name of before) assert.equal(readFileSync(join(workDir, name), 'utf8'), `mine: ${name}`);
  });

  it('serves one call of a process at a time', async () => {
    const expected = await results(options('concat'));
    const workDir = join(folder, 'twice');
    const [first, second] = await Promise.allSettled([
      results(options('concat', { workDir })),
      results(options('concat', { workDir: `${workDir}/.` })),
    ]);
    const [done, refusal] = first.status === 'fulfilled' ? [first, second] : [second, first];
    assert.ok(done.status === 'fulfilled' && refusal.status === 'rejected');
    assert.deepEqual(done.value, expected);
    assert.match(refusal.reason.message, /another call of this process is working on it: give another --work-dir/);
  });

  it('stops a run whose lock was taken, before it journals anything', async () => {
    const workDir = join(folder, 'lost');
    const out = join(folder, 'lost-out');
    let before: Buffer | undefined;
    const run = label(
      options('concat', {
        workDir,
        out,
        onProgress: ({ stage }) => {
          if (stage !== 'edges' || before) return;
          before = readFileSync(join(workDir, 'journal'));
          rmSync(join(workDir, 'lock'));
        },
      }),
    );
    await assert.rejects(run, { code: 'LOCK_LOST', message: /: its lock was removed: this run stops; / });
    assert.deepEqual(readFileSync(join(workDir, 'journal')), before);
    assert.equal(existsSync(out), false);
    await label(options('concat', { workDir }));
  });

  it('counts room that its own files take already', { skip: cannotMount }, async () => {
    const workDir = join(folder, 'room');
    let disk = 0;
    await stopped(
      options('concat', { workDir, onPlan: ({ diskBytes }) => (disk = diskBytes) }),
      (at) => at === 'split',
    );
    const mounted = join(folder, 'mounted');
    mkdirSync(mounted);
    // Room for the run, and little more.
    const script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cp "$3"/* "$2" && shift 3 && exec "$@"';
    const flags = [
      ...labelFlags({ features, knn, model: models.concat, truth: '' }, join(folder, 'mounted-out')),
      ...['--work-dir', mounted, '--log-level', 'info'],
    ];
    const size = String(disk + 2 ** 17);
    const inOwn = ['--mount', 'sh', '-c', script, 'sh', size, mounted, workDir, process.execPath, main, ...flags];
    const child = spawn('unshare', inOwn, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => (stderr += text));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /goes on with the run of/);
  });

  it('refuses a disk that is too small', async () => {
    const workDir = join(folder, 'small');
    const header = workHeader({ identity: {}, nodes: 1, shards: 1, precision: 'f32', stages: [], files: [] });
    const request = { restart: false, diskBytes: 10 ** 17, diskAdvice: ', or less of it', features: '' };
    await assert.rejects(WorkDir.open(workDir, header, request), {
      code: 'BAD_USAGE',
      message: /GiB are free on its disk, the run needs .*: give a folder on another, or less of it/,
    });
    assert.deepEqual(readdirSync(workDir), []);
  });

  it('knows its features again when the file was touched, moved or copied, and other rows in it', async () => {
    const large = join(folder, 'large_feats.npy');
    const dim = 3400; // more than digests sample
    const rows = Float32Array.from({ length: 1500 * dim }, (_, i) => Math.sin(i * i));
    await writeNpy(large, 'f4', [1500, dim], rows);
    const workDir = join(folder, 'large');
    const run = (more: Partial<LabelOptions> = {}) => {
      return options('pairwise', { features: large, graphCheck: 'skip', workDir, ...more });
    };
    const expected = await results(run({ workDir: undefined }));
    await stopped(run(), (stage) => stage === 'similarities');
    const { journal, copies } = { journal: join(workDir, 'journal'), copies: join(folder, 'copies') };
    cpSync(workDir, copies, { recursive: true });

    utimesSync(large, 1, 1);
    const moved = join(folder, 'elsewhere.npy');
    copyFileSync(large, moved);
    const again = run({ features: moved });
    const found = await results(again);
    assert.deepEqual([...found.values()], [...expected.values()]);

    rmSync(workDir, { recursive: true });
    cpSync(copies, workDir, { recursive: true });
    const bytes = readFileSync(large);
    const sampled = Math.floor(((bytes.length - 65536) * 100) / 255);
    bytes[sampled + 65536 + 2000] ^= 1; // between two samples
    assert.equal((await digestFile(large)).sampledSha256, (await digestFile(moved)).sampledSha256);
    writeFileSync(large, bytes);
    assert.equal((await digestFile(large)).sampledSha256, (await digestFile(moved)).sampledSha256);
    const before = readJournal(journal).entries;
    await assert.rejects(results(run()), {
      code: 'BAD_USAGE',
      message: `${workDir}: holds a run with features other rows, got the file of today: give the same again, or --restart to give that run up`,
    });
    assert.deepEqual(readJournal(journal).entries, before);
  });

  it('refuses a run of other inputs or options by name, unless told to restart', async () => {
    const workDir = join(folder, 'other');
    await stopped(options('concat', { workDir }), (stage) => stage === 'embed');
    const other = (more: Partial<LabelOptions>) => label(options('concat', { workDir, ...more }));
    await assert.rejects(other({ kHops: [10, 5] }), { code: 'BAD_USAGE', message: /holds a run with k1 20, got 10: / });
    await assert.rejects(other({ precision: 'bf16' }), { message: /holds a run with precision none, got "bf16"/ });
    const changed = join(folder, 'changed_feats.npz');
    copyFileSync(features, changed);
    const bytes = readFileSync(changed);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(changed, bytes);
    await assert.rejects(other({ features: changed }), { message: /holds a run with features "/ });
    const expected = await results(options('concat', { kHops: [10, 5] }));
    assert.deepEqual(await results(options('concat', { workDir, kHops: [10, 5], restart: true })), expected);
  });

  it('serves one process at a time, and is taken over from one that died', async () => {
    const workDir = join(folder, 'locked');
    mkdirSync(workDir);
    writeFileSync(join(workDir, 'lock'), String(process.ppid));
    await assert.rejects(label(options('concat', { workDir })), {
      code: 'BAD_USAGE',
      message: `${workDir}: process ${process.ppid} is working on it: give another --work-dir`,
    });
    const child = spawn('true');
    await once(child, 'exit');
    writeFileSync(join(workDir, 'lock'), String(child.pid));
    await label(options('concat', { workDir }));
    assert.equal(existsSync(join(workDir, 'lock')), false);
  });

  it('wants its inputs in files', async () => {
    const model = smoothedDistanceModel(32, [20, 10]);
    await assert.rejects(label({ ...options('concat', { workDir: join(folder, 'memory') }), model }), {
      code: 'BAD_USAGE',
      message: /model in memory, expected a file/,
    });
  });

  it('survives kill -9: the same command goes on and writes the same bytes', async () => {
    const [plain, killed, workDir] = ['plain', 'killed', 'kill'].map((name) => join(folder, name));
    const flags = (out: string) => [
      ...labelFlags({ features, knn, model: models.concat, truth: '' }, out),
      ...['--threshold', '0.4', '--backend', 'reference', '--threads', '1', '--save-edges', '--shards', '7'],
    ];
    assert.equal((await naan(flags(plain))).code, 0);
    mkdirSync(workDir);
    const child = spawn(process.execPath, [main, ...flags(killed), '--work-dir', workDir], { stdio: 'ignore' });
    // The journal grows when shards are on the disk; the run is then in the middle.
    const watcher = watch(workDir, () => {
      if ((readWork(workDir)?.done ?? []).some(({ shards }) => shards > 0)) child.kill('SIGKILL');
    });
    const [, signal] = await once(child, 'exit');
    watcher.close();
    assert.equal(signal, 'SIGKILL');
    assert.equal(existsSync(killed), false);

    const status = await naan(['status', workDir, '--json']);
    const { shardsDone, shards, finished, process: worker } = JSON.parse(status.stdout);
    assert.ok(shardsDone >= 7 && shardsDone < shards, status.stdout);
    assert.equal(finished ?? worker, undefined);
    const again = await naan([...flags(killed), '--work-dir', workDir]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, new RegExp(`goes on with the run of .*: ${shardsDone} of ${shards} shards`));
    for (const name of ['labels.txt', 'labels.npy', 'edges.npy', 'scores.npy']) {
      assert.deepEqual(readFileSync(join(killed, `split1_${name}`)), readFileSync(join(plain, `split1_${name}`)), name);
    }
    const { run } = JSON.parse(readFileSync(join(killed, 'run.json'), 'utf8'));
    assert.deepEqual([run.resumes, Date.parse(run.goesOnFrom) < Date.parse(run.started)], [1, true]);
    assert.match((await naan(['status', workDir])).stdout, /^gone on with +once\nstate +finished/m);
  });

  it('that holds no run has no status', async () => {
    const { code, stderr } = await naan(['status', folder]);
    assert.equal(code, 2);
    assert.match(stderr, /holds no run, expected a folder that naan label or naan knn had as --work-dir/);
  });
});
