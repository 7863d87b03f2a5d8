import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendChoice } from '../../src/backends/plan.js';
import { NaanError } from '../../src/errors.js';
import type { FeatureLocation } from '../../src/io/matrix.js';
import type { Probe, ProbeRequest } from '../../src/machine/backend-probe.js';
import { devicesForKnn, fasterDevices, fastestKnn } from '../../src/machine/choose-knn.js';

const gib = 2 ** 30;
const cuda = { backend: 'onnx', provider: 'cuda', realAdapter: true } as const;
const webgpu = { backend: 'onnx', provider: 'webgpu', realAdapter: true } as const;
const features = (rowCount: number): FeatureLocation => {
  const layout = { offset: 128, type: 'f4', littleEndian: true, fortran: false } as const;
  return { kind: 'file', path: 'faces.npy', name: 'faces.npy', rowCount, dim: 512, ...layout };
};

/** Measures from a table of pairs a second; those that are not in it do not start. */
function rates(table: Readonly<Record<string, number>>, asked: ProbeRequest[] = []) {
  return async (choice: ProbeRequest): Promise<Probe> => {
    asked.push(choice);
    const { backend, provider, threads, batch } = choice;
    const pairsPerSecond = table[provider ?? backend];
    if (pairsPerSecond === undefined) throw new NaanError('BACKEND_UNAVAILABLE', 'the driver is too old');
    const rest = { stageSeconds: {} as Probe['stageSeconds'], gflops: 1, scores: new Float32Array(0) };
    const others = { nodesPerSecond: 1, edgesPerSecond: 1 };
    return { backend, provider, software: false, threads, batch, pairsPerSecond, ...others, ...rest };
  };
}

const fast = { native: 1.5e8, cuda: 4e10, webgpu: 5e9 };

describe('auto, for a kNN graph', () => {
  const search = { k: 80, threads: 2, memory: 8 * gib };

  it('takes the GPU on which the exact search is done before the CPU, and says so', async () => {
    const notices: string[] = [];
    const onNotice = (text: string) => void notices.push(text);
    const told = { ...search, onNotice };
    const taken = await fasterDevices(features(580_000), { deviceMemory: gib }, told, [cuda, webgpu], rates(fast));
    assert.deepEqual(taken, { choices: [cuda], devices: [0], batch: undefined, residentBytes: gib, unasked: true });
    assert.deepEqual(notices, [
      'finds the kNN graph by onnx (cuda) in about 12 s, not onnx (webgpu) in about 71 s, native in about 108 s',
    ]);
  });

  it('takes no slow card, none that does not start, and none where the rows must stay in their file', async () => {
    const choose = (rows: number, table: Readonly<Record<string, number>>, given: Partial<typeof search> = {}) =>
      fasterDevices(features(rows), { deviceMemory: gib }, { ...search, ...given }, [cuda], rates(table));
    assert.equal(await choose(580_000, { native: 1.5e8, cuda: 3e9 }), undefined);
    assert.equal(await choose(580_000, { native: 1.5e8 }), undefined);
    assert.ok(await choose(580_000, fast));
    assert.equal(await choose(580_000, fast, { memory: 1.2 * gib }), undefined);
    // An exact search grows faster than one by cells.
    assert.ok(await choose(2_000_000, { native: 1.5e8, cuda: 1e10 }));
    assert.equal(await choose(20_000_000, { native: 1.5e8, cuda: 1e10 }, { memory: 100 * gib }), undefined);
  });

  it('measures nothing for small sets, for another method, for a search that is kept, or without a GPU', async () => {
    const asked: ProbeRequest[] = [];
    const choose = (rows: number, given: object, candidates: readonly BackendChoice[] = [cuda]) =>
      fasterDevices(features(rows), {}, { ...search, ...given }, candidates, rates(fast, asked));
    assert.equal(await choose(100_000, {}), undefined);
    assert.equal(await choose(580_000, { method: 'ivf' }), undefined);
    assert.equal(await choose(580_000, { work: { path: 'work' } }), undefined);
    assert.equal(await choose(580_000, {}, []), undefined);
    assert.deepEqual(asked, []);
  });

  it('is native where every adapter only plays a GPU', () => {
    const software = { backend: 'onnx', provider: 'webgpu', software: true, pairsPerSecond: 1e12 };
    const native = { backend: 'native', pairsPerSecond: 1 };
    assert.equal(fastestKnn({ rows: 1_000_000, dim: 512, k: 80 }, [software, native])?.backend, 'native');
    assert.equal(fastestKnn({ rows: 1_000_000, dim: 512, k: 80 }, [software]), undefined);
  });
});

describe('devices for a kNN graph that are asked for by name', () => {
  const small = features(1000);

  it('are taken whatever the size, or are the CPU for native', async () => {
    const found = await devicesForKnn(small, { backend: 'onnx', provider: 'webgpu', batch: 64 }, {});
    const choices = [{ backend: 'onnx', provider: 'webgpu' }];
    assert.deepEqual(found, { choices, devices: [0], batch: 64, residentBytes: gib });
    assert.equal(await devicesForKnn(small, { backend: 'native' }, { method: 'ivf' }), undefined);
    const onCpu = await devicesForKnn(small, { backend: 'onnx' }, { method: 'exact' });
    assert.deepEqual(onCpu?.choices.at(-1), { backend: 'onnx', provider: 'cpu' });
  });

  it('find exact graphs alone, and not with others', async () => {
    const onnx = { backend: 'onnx', provider: 'cpu' } as const;
    const message = 'method: back-ends beside native find exact graphs, got hnsw';
    await assert.rejects(devicesForKnn(small, onnx, { method: 'hnsw' }), { code: 'BAD_USAGE', message });
    const work = { path: 'work', features: 'faces.npy', share: { rank: 0, ranks: 2 } };
    await assert.rejects(devicesForKnn(small, onnx, { work }), { code: 'BAD_USAGE', message: /^cluster: ranks share/ });
  });
});
