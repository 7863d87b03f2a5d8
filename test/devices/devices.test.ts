import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BackendPlan, planBackend } from '../../src/backends/plan.js';
import type { DeviceCounter } from '../../src/devices/link.js';
import type { EngineOptions, ScoringRun } from '../../src/engine/scoring-run.js';
import { pairwiseTolerance } from '../backends/setups.js';
import { largestDifference, loadCase, randomPairwise, withRun } from '../engine/fixture.js';

const device: BackendPlan = { devices: [{ backend: 'onnx', provider: 'cpu' }], reasons: [] };
const orNative: BackendPlan = { ...device, otherwise: { backend: 'native' } };
const concat = { ...(await loadCase('four_heads')), tolerance: 2e-6 };
const pairwiseModel = randomPairwise(10, 3);
const native = { backend: 'native', threads: 1 } as const;
const pairwise = await withRun(pairwiseModel, concat, native, async (run, score) => {
  await score();
  return { ...concat, model: pairwiseModel, scores: run.edges.scores.slice(), tolerance: pairwiseTolerance };
});
const inputs = { concat, pairwise };

/** A run on devices with this fault, its scores checked: of `concat` against PyTorch, of `pairwise` against native. */
async function runWith(
  fault: string,
  plan: BackendPlan,
  options: EngineOptions = {},
  { use, head = 'concat' }: { use?: (run: ScoringRun) => void; head?: keyof typeof inputs } = {},
) {
  const notices: string[] = [];
  const startDevice = { module: new URL(`./faulty-device.js?${fault}`, import.meta.url), plan };
  const settings = { threads: 2, shards: 4, batch: 32, onNotice: (text: string) => notices.push(text), ...options };
  const input = inputs[head];
  return withRun(input.model, input, { ...settings, startDevice }, async (run, score) => {
    use?.(run);
    await score();
    assert.ok(largestDifference(run.edges.scores, input.scores) <= input.tolerance);
    const total = (counter: DeviceCounter) => run.devices?.readings.reduce((sum, { of }) => sum + of(counter), 0);
    return { run, notices, total };
  });
}

describe('a device', () => {
  it('computes what several workers gather, and counts it', async () => {
    const { run, notices, total } = await runWith('', device);
    assert.deepEqual(notices, []);
    assert.deepEqual(run.backend, { backend: 'onnx (cpu)', simd: 'none' });
    const { nodeCount } = concat.graph;
    // Eight tiles in four shards for each of four stages, and at least as many of edges.
    assert.ok((total('batches') ?? 0) >= 5 * 8, `${total('batches')} batches`);
    assert.ok((total('rows') ?? 0) >= 5 * nodeCount);
    assert.ok((total('bytes') ?? 0) >= 5 * nodeCount * 4 * concat.model.config.dim);
    assert.ok((total('busySeconds') ?? 0) > 0);
    assert.equal(total('retries'), 0);
    assert.equal(total('fallbacks'), 0);
    assert.equal(total('queue'), 0);
  });

  it('takes half a batch when it runs out of memory, and no more from then on', async () => {
    const { notices, total } = await runWith('most=12', device);
    // Of 32 nodes 16, 8; of the edges of 32 nodes a few halvings more.
    assert.ok((total('retries') ?? 0) >= 2 && (total('retries') ?? 0) <= 10, `${total('retries')} retries`);
    assert.equal(total('fallbacks'), 0);
    assert.deepEqual(notices, []);
  });

  it('is given up when it is lost in mid-run: every worker goes on with native, with one warning', async () => {
    const { notices, total } = await runWith('lost=11', device);
    assert.deepEqual(notices, ['device 0 was lost, its workers go on with native: device lost']);
    assert.equal(total('batches'), 10);
    assert.equal(total('fallbacks'), 2);
  });

  it('that gives NaN is given up, and none of it is kept', async () => {
    const { notices, total } = await runWith('nan=11', device);
    assert.equal(notices.length, 1);
    assert.match(notices[0], /^device 0 was lost, .*: stage '\w+' gives values that are not finite$/);
    assert.equal(total('batches'), 10);
    assert.equal(total('fallbacks'), 2);
  });

  it('computes the networks of head pairwise, and what befalls it there is got over', async () => {
    const head = 'pairwise';
    const whole = await runWith('', device, {}, { head });
    assert.deepEqual(whole.run.backend?.backend, 'onnx (cpu)');
    assert.deepEqual(whole.notices, []);
    const { edges } = whole.run;
    assert.equal(whole.total('rows'), 3 * edges.targets.length);
    const halved = await runWith('most=100', device, {}, { head });
    assert.ok((halved.total('retries') ?? 0) > 0);
    assert.deepEqual(halved.run.edges.scores, edges.scores);
    for (const fault of ['lost=7', 'nan=7', 'dies=7']) {
      const { notices, total } = await runWith(fault, device, {}, { head });
      assert.equal(notices.length, 1, fault);
      assert.match(notices[0], /^device 0 was lost, its workers go on with native: /);
      assert.equal(total('batches'), 6, fault);
      assert.equal(total('fallbacks'), 2, fault);
    }
    const { run } = await runWith('absent', orNative, {}, { head });
    assert.equal(run.backend?.backend, 'native');
  });

  it('whose thread dies is a device lost', async () => {
    const { notices, total } = await runWith('dies=11', device);
    assert.deepEqual(notices, ['device 0 was lost, its workers go on with native: its thread has ended']);
    assert.equal(total('fallbacks'), 2);
  });

  it('that does not start leaves the work to the next back-end, or is an error where it was asked for', async () => {
    const { run, notices } = await runWith('absent', orNative);
    assert.equal(run.backend?.backend, 'native');
    assert.deepEqual(notices, ['back-end native is used, not a GPU: the driver is too old']);
    await assert.rejects(runWith('absent', device), { code: 'BACKEND_UNAVAILABLE', message: 'the driver is too old' });
  });

  it('shares the workers with others', async () => {
    const { run } = await runWith('', device, { devices: [0, 1], threads: 3 });
    const batches = run.devices?.readings.map(({ device, of }) => [device, of('batches') > 0]);
    assert.deepEqual(batches, [
      [0, true],
      [1, true],
    ]);
  });

  it('ends after the batch in hand when the run is stopped', async () => {
    const stopping = new AbortController();
    let stopped: ScoringRun | undefined;
    const use = (run: ScoringRun) => {
      stopped = run;
      const look = setInterval(() => {
        if ((run.devices?.readings[0].of('batches') ?? 0) === 0) return;
        clearInterval(look);
        stopping.abort();
      }, 1);
    };
    const running = runWith('slow=20', device, { signal: stopping.signal }, { use });
    await assert.rejects(running, { code: 'CANCELLED' });
    const batches = stopped?.devices?.readings[0].of('batches') ?? 0;
    assert.ok(batches > 0 && batches < 8, `${batches} batches`);
  });
});

describe('the plan of what computes', () => {
  it('takes what was asked for by name and nothing else', () => {
    assert.deepEqual(planBackend('native').otherwise, { backend: 'native' });
    assert.deepEqual(planBackend('onnx', 'cpu').otherwise, { backend: 'onnx', provider: 'cpu' });
    assert.deepEqual(planBackend('onnx', 'webgpu'), {
      devices: [{ backend: 'onnx', provider: 'webgpu' }],
      reasons: [],
    });
  });

  it('takes native of itself, and the CPU by ONNX Runtime where no GPU is, and says why', () => {
    assert.deepEqual(planBackend('auto'), { devices: [], otherwise: { backend: 'native' }, reasons: [] });
    const { devices, otherwise, reasons } = planBackend('onnx');
    assert.deepEqual(otherwise, { backend: 'onnx', provider: 'cpu' });
    assert.equal(devices.length + reasons.length, 2);
    for (const reason of reasons) assert.match(reason, /^(cuda|webgpu): .* (is missing|is here|has it for)/);
  });

  it('refuses several devices where the provider has one', async () => {
    const plan = planBackend('onnx', 'webgpu');
    await assert.rejects(runWith('', plan, { devices: [0, 1] }), { code: 'BAD_USAGE', message: /got devices 0,1/ });
  });
});
