import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendChoice } from '../../src/backends/plan.js';
import { NaanError } from '../../src/errors.js';
import type { Probe, ProbeRequest } from '../../src/machine/backend-probe.js';
import { chooseBackend, fastestBy } from '../../src/machine/choose-backend.js';

const cuda = { backend: 'onnx', provider: 'cuda', realAdapter: true } as const;
const webgpu = { backend: 'onnx', provider: 'webgpu', realAdapter: true } as const;
const head = { backendRate: { name: 'nodesPerSecond', fromRows: 100_000 } } as const;
const request = { head, rows: 200_000, threads: 8, batch: 512 } as const;

/** Measures from a table of nodes a second; those that are not in it do not start. */
function rates(table: Readonly<Record<string, number>>, asked: ProbeRequest[] = []) {
  return async (choice: ProbeRequest): Promise<Probe> => {
    asked.push(choice);
    const { backend, provider, threads, batch } = choice;
    const nodesPerSecond = table[provider ?? backend];
    if (nodesPerSecond === undefined) throw new NaanError('BACKEND_UNAVAILABLE', 'the driver is too old');
    const rest = {
      pairsPerSecond: 1,
      stageSeconds: {} as Probe['stageSeconds'],
      gflops: 1,
      scores: new Float32Array(0),
    };
    return { backend, provider, software: false, threads, batch, nodesPerSecond, edgesPerSecond: 1e6, ...rest };
  };
}

const choose = (table: Readonly<Record<string, number>>, devices: readonly BackendChoice[] = [cuda, webgpu]) =>
  chooseBackend(request, devices, rates(table));

describe('auto', () => {
  it('takes the fastest by measured rates, and says against what', async () => {
    const taken = await choose({ native: 9000, cuda: 400_000, webgpu: 30_000 });
    assert.deepEqual(taken, {
      ...cuda,
      reason: 'onnx (cuda) 400,000 nodes/s, not native 9,000 nodes/s, onnx (webgpu) 30,000 nodes/s',
    });
    assert.equal((await choose({ native: 9000, cuda: 8000, webgpu: 30_000 })).provider, 'webgpu');
  });

  it('does not take a slow card over a fast processor, nor one that does not start', async () => {
    const slow = await choose({ native: 40_000, cuda: 12_000 });
    assert.deepEqual(slow, { backend: 'native', reason: 'native 40,000 nodes/s, not onnx (cuda) 12,000 nodes/s' });
    assert.equal((await choose({ native: 10 })).backend, 'native');
  });

  it('measures a device on one thread and the processor on all, and nothing where that would take longer than the run', async () => {
    const asked: ProbeRequest[] = [];
    const measure = rates({ native: 1, cuda: 2 }, asked);
    await chooseBackend(request, [cuda], measure);
    assert.deepEqual(
      asked.map(({ backend, threads }) => [backend, threads]),
      [
        ['native', 8],
        ['onnx', 1],
      ],
    );
    assert.deepEqual(await chooseBackend({ ...request, rows: 5000 }, [cuda], measure), {
      backend: 'native',
    });
    assert.deepEqual(await chooseBackend(request, [], measure), { backend: 'native' });
    assert.deepEqual(await chooseBackend({ ...request, head: {} }, [cuda], measure), { backend: 'native' });
    assert.equal(asked.length, 2);
  });

  it('takes no software adapter, no TensorRT and no TensorFlow.js of itself', () => {
    const rates = { nodesPerSecond: 1e6, edgesPerSecond: 1e6 };
    const measured = [
      { backend: 'native', nodesPerSecond: 10, edgesPerSecond: 10 },
      { backend: 'onnx', provider: 'webgpu', software: true, ...rates },
      { backend: 'onnx', provider: 'tensorrt', ...rates },
      { backend: 'tfjs', provider: 'CUDA', ...rates },
    ];
    for (const rate of ['nodesPerSecond', 'edgesPerSecond'] as const) {
      assert.equal(fastestBy(rate, measured)?.backend, 'native');
    }
    assert.equal(fastestBy('nodesPerSecond', measured.slice(1)), undefined);
  });
});
