import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withoutSwiftShader } from '../backends/setups.js';
import { naan, start, temporaryFolder } from './naan.js';
import { tensorflowAbove, withoutPackage } from './without-package.js';

const folder = temporaryFolder(after);

interface Diagnosed {
  backend: string;
  provider?: string;
  software?: boolean;
  rates: Record<'threads' | 'nodesPerSecond' | 'edgesPerSecond' | 'pairsPerSecond' | 'gflops', number>[];
  reason?: string;
}

/** What `naan doctor --json` says, by back-end. */
async function diagnosis(surroundings: Parameters<typeof naan>[1] = {}) {
  const { code, stdout, stderr } = await naan(['doctor', '--json', '--threads', '2', '--quiet'], surroundings);
  assert.equal(code, 0, stderr);
  const found = JSON.parse(stdout);
  const backends = new Map<string, Diagnosed>(
    found.backends.map((entry: Diagnosed) => [[entry.backend, entry.provider].filter(Boolean).join(' '), entry]),
  );
  return { found, backends };
}

test('doctor --json says what the machine has, measures what starts, and has auto take no software adapter', async (t) => {
  const { found, backends } = await diagnosis();
  const { machine, limits, auto } = found;
  assert.equal(machine.node, process.versions.node);
  assert.ok(machine.threads >= 1 && machine.memory.totalBytes > machine.memory.freeBytes);
  assert.match(machine.onnxruntime.version, /^\d+\.\d+\.\d+$/);
  assert.ok(machine.onnxruntime.providers.includes('cpu'));
  assert.equal(machine.onnxruntime.isOwn, true);
  assert.equal(machine.packages['@tensorflow/tfjs-backend-wasm'], '4.22.0');
  assert.deepEqual(Object.keys(machine.gpu), ['devices', 'nvidia', 'vulkanDrivers']);
  assert.ok(limits.gemmGflops > 0 && limits.randomRowGBps > 0);
  for (const [name, threads] of [
    ['native', [1, 2]],
    ['onnx cpu', [1, 2]],
    ['tfjs WebAssembly', [1, 2]],
    ['reference', [1]],
  ] as const) {
    const rates = backends.get(name)?.rates ?? [];
    assert.deepEqual(
      rates.map((rate) => rate.threads),
      threads,
      name,
    );
    assert.ok(rates.every((rate) => Object.values(rate).every((value) => value > 0)));
  }
  for (const head of ['concat', 'pairwise']) {
    assert.equal(auto[head].backend, 'native');
    assert.match(auto[head].reason, /^native [\d,]+ (nodes|edges)\/s, and no GPU to compare it with$/);
  }
  for (const chosen of found.autoKnn) {
    assert.equal(chosen.backend, 'native');
    assert.match(chosen.reason, /^native in about \d+ s, and no GPU to compare it with$/);
  }
  if (withoutSwiftShader) return t.diagnostic(`no software adapter: ${withoutSwiftShader}`);
  const webgpu = backends.get('onnx webgpu');
  assert.equal(webgpu?.reason, undefined);
  assert.equal(webgpu?.software, true);
  assert.deepEqual(
    webgpu?.rates.map(({ threads }) => threads),
    [1],
  );
});

test('doctor says why a back-end does not start and what it needs', { skip: tensorflowAbove }, async () => {
  const { main } = withoutPackage('@tensorflow', join(folder, 'missing'));
  const { code, stdout } = await naan(['doctor', '--quiet'], { main });
  assert.equal(code, 0);
  assert.match(stdout, /^TensorFlow\.js +not installed$/m);
  assert.match(stdout, /^native +1 +[\d,]+ +[\d.]+ +\d\.\d\d +[\d,]+ +\d\.\d\d +[\d.]+ +\d\.\d\d$/m);
  assert.match(stdout, /^onnx \(cpu\) +1 +[\d,]+ /m);
  assert.match(stdout, /^tfjs +no TensorFlow\.js is installed: for a GPU 'npm install/m);
  assert.match(stdout, /^--backend auto takes native for head concat: native [\d,]+ nodes\/s, and no GPU/m);
  assert.match(stdout, /^--backend auto takes native for head pairwise: native [\d,]+ edges\/s/m);
  assert.match(
    stdout,
    /^--backend auto takes native for the kNN graph of 1,000,000 rows × 512: native in about \d+ s/m,
  );
});

test('doctor outlives a driver that ends its process', async () => {
  const crash = join(folder, 'crash.cjs');
  writeFileSync(crash, "if (process.argv[1]?.endsWith('backend-probe.js')) process.kill(process.pid, 'SIGSEGV');");
  const { found, backends } = await diagnosis({ environment: { NODE_OPTIONS: `--require ${crash}` } });
  assert.equal(backends.get('native')?.reason, 'its process ended by SIGSEGV');
  assert.deepEqual(backends.get('native')?.rates, []);
  assert.deepEqual(found.auto, {});
});

test('Ctrl-C ends doctor', async () => {
  const { child, said, ended } = start(['doctor']);
  await said(/limits/);
  child.kill('SIGINT');
  assert.equal((await ended).code, 130);
});
