/**
 * What naan does besides its work: nothing. It writes where it is told and nowhere else, and opens no connection. The
 * kernel is asked, by strace, so that native code is seen as well.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { writeRecogniser } from '../extraction/recogniser-model.js';
import { main, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const at = (...names: string[]) => join(folder, ...names);
const set = at('set');
const labeled = ['--features', join(set, 'labeled/split0_feats.npz'), '--knn', join(set, 'labeled/split0_knn.npy')];
const unlabeled = join(set, 'unlabeled/split1_feats.npz');
/** A PNG of one red pixel. */
const onePixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const concatHops = ['--k-hops', '6', '4', '--sample-hops', '8'];

const withoutStrace =
  spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', 'true']).status === 0
    ? false
    : 'strace (Debian package strace) is not here or may not trace';

/** Runs a program with an empty home and an empty temporary folder, and says what it wrote elsewhere and which sockets it made. */
function watched(program: readonly string[], out: string) {
  const [home, temporary, trace] = [at(`home of ${out}`), at(`temporary of ${out}`), at(`${out}.trace`)];
  for (const made of [home, temporary, at(out)]) mkdirSync(made, { recursive: true });
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NAAN|XDG)_/.test(name)));
  const calls = 'trace=network,open,openat,creat,mkdir,mkdirat';
  const strace = withoutStrace ? [] : ['strace', '-f', '--seccomp-bpf', '-qq', '-s', '512', '-e', calls, '-o', trace];
  const [command, ...args] = [...strace, process.execPath, ...program];
  const { status, stderr } = spawnSync(command, args, {
    cwd: at(out),
    env: { ...environment, HOME: home, TMPDIR: temporary },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  const left = [home, temporary].flatMap((made) => readdirSync(made, { recursive: true }) as string[]);
  const lines = withoutStrace ? [] : readFileSync(trace, 'utf8').split('\n');
  const written = lines.flatMap((line) => {
    const [, call, path] = /\b(open|openat|creat|mkdir|mkdirat)\((?:AT_FDCWD, )?"([^"]*)"/.exec(line) ?? [];
    if (call === undefined || (call.startsWith('open') && !/O_WRONLY|O_RDWR|O_CREAT/.test(line))) return [];
    const full = resolve(at(out), path);
    return full.startsWith(at(out)) || full.startsWith('/dev/') ? [] : [full];
  });
  const sockets = lines.filter((line) => /\b(socket|connect|bind|sendto|sendmsg|sendmmsg)\(.*AF_INET/.test(line));
  return { left, written, sockets };
}

const commands: Record<string, readonly string[]> = {
  generate: ['generate', '--ids', '60', '--dim', '16', '--k', '20', '--seed', '3', '--out', set],
  'knn, exact': ['knn', '--features', unlabeled, '--k', '8', '--out', 'knn.npy'],
  'knn, ivf': ['knn', '--features', unlabeled, '--k', '8', '--method', 'ivf', '--out', 'knn.npy'],
  'knn, hnsw': ['knn', '--features', unlabeled, '--k', '8', '--method', 'hnsw', '--out', 'knn.npy'],
  'train, concat': ['train', ...labeled, '--head', 'concat', ...concatHops, '--passes', '1', '--epochs', '1'],
  'train, pairwise': ['train', ...labeled, '--head', 'pairwise', '--sample-hops', '8', '--batch', '128'],
  'label, concat': ['label', ...labelFiles('train, concat'), '--out', 'labels'],
  'label, pairwise': ['label', ...labelFiles('train, pairwise'), '--out', 'labels'],
  'label, ONNX': ['label', ...labelFiles('train, concat'), '--backend', 'onnx', '--provider', 'cpu', '--out', 'labels'],
  tune: ['tune', ...labelFiles('train, concat'), '--budget', '1s'],
  extract: ['extract', '--images', at('faces'), '--model', at('recogniser.onnx'), '--out', 'embeddings'],
  doctor: ['doctor', '--threads', '1'],
};

function labelFiles(trained: string): string[] {
  const graph = join(set, 'unlabeled/split1_knn.npy');
  return ['--features', unlabeled, '--knn', graph, '--model', at(trained, 'model.safetensors')];
}

mkdirSync(set, { recursive: true }); // or generate would try the folder above it
mkdirSync(at('faces'));
writeFileSync(at('faces/one.png'), onePixel);
writeRecogniser(at('recogniser.onnx'));

for (const [what, command] of Object.entries(commands)) {
  const flags = what.startsWith('train') ? ['--out', 'model.safetensors'] : [];
  test(`${what}: writes where it is told alone, and opens no connection`, { skip: withoutStrace }, () => {
    const { left, written, sockets } = watched([main, ...command, ...flags], what);
    assert.deepEqual(left, []);
    assert.deepEqual(
      written.filter((path) => what !== 'generate' || !path.startsWith(set)),
      [],
    );
    assert.deepEqual(sockets, []);
  });
}

test('the library in a thread of an application does the same', { skip: withoutStrace }, () => {
  mkdirSync(at('application'));
  const program = at('application/main.mjs');
  writeFileSync(
    program,
    `import { Worker, isMainThread } from 'node:worker_threads';
    import { knn as search, label } from '${pathToFileURL(resolve('dist/src/index.js'))}';
    if (isMainThread) new Worker(new URL(import.meta.url)).on('exit', (code) => process.exit(code));
    else {
      const [features, knn, model] = ${JSON.stringify(labelFiles('train, concat').filter((_, i) => i % 2 === 1))};
      await search(features, { k: 8 });
      await label({ features, knn, model, out: 'labels' });
    }`,
  );
  assert.deepEqual(watched([program], 'application'), { left: [], written: [], sockets: [] });
});

test('the one socket is that of --metrics-port, on this machine alone', { skip: withoutStrace }, () => {
  const flags = ['label', ...labelFiles('train, concat'), '--metrics-port', '0', '--out', 'labels'];
  const { left, written, sockets } = watched([main, ...flags], 'metrics');
  assert.deepEqual([left, written], [[], []]);
  const bound = sockets.filter((line) => line.includes('bind('));
  assert.equal(bound.length, 1);
  assert.match(bound[0], /inet_addr\("127\.0\.0\.1"\)/);
  assert.deepEqual(
    sockets.filter((line) => !/\b(bind|socket)\(/.test(line)),
    [],
  );
});

test('no build of the runtime, for any system, holds an address to report to', () => {
  const root = 'dist/runtime/onnxruntime-node/bin';
  const files = (readdirSync(root, { recursive: true }) as string[]).filter((path) =>
    /\.(so|naan|dylib|dll|node)\b/.test(path),
  );
  assert.ok(files.length > 3);
  for (const path of files) {
    const bytes = readFileSync(join(root, path));
    for (const trace of ['events.data.microsoft.com', 'DeveloperTools']) {
      assert.ok(!bytes.includes(trace), `${path} holds '${trace}'`);
    }
  }
});
