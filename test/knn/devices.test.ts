/** The exact kNN search on devices: on all software devices the lists of the CPU's search by bounds, and what befalls devices is got over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import type { KnnBackend, KnnColumns } from '../../src/backends/backend.js';
import type { BackendChoice } from '../../src/backends/plan.js';
import { startBackend } from '../../src/backends/start.js';
import { rowCapacity } from '../../src/backends/tile.js';
import type { DeviceReading } from '../../src/devices/devices.js';
import type { DeviceCounter } from '../../src/devices/link.js';
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import { RandomStream } from '../../src/graph/random.js';
import { normaliseRows } from '../../src/io/normalise.js';
import { searchByBounds, searchByCosines } from '../../src/knn/exact.js';
import { findKnn } from '../../src/knn/find.js';
import { type KnnDevices, searchOnDevices } from '../../src/knn/on-device.js';
import { SharedRows } from '../../src/memory/shared-rows.js';
import { withoutSwiftShader } from '../backends/setups.js';

function unitRows(n: number, d: number, seed: number): SharedRows {
  const values = new Float32Array(n * d);
  new RandomStream(seed, 1, 0).gaussians(values);
  normaliseRows(values, 0, n, d, 'test rows');
  return sharedRows(n, d, values);
}

function sharedRows(n: number, d: number, values: Float32Array): SharedRows {
  const rows = SharedRows.allocate(n, d);
  rows.eachRun(0, n, (view, first) => view.set(values.subarray(first * d, first * d + view.length)));
  return rows;
}

interface KnnSetup {
  readonly name: string;
  readonly choice: BackendChoice;
  readonly skip?: string | false;
}

const setups: readonly KnnSetup[] = [
  { name: 'reference', choice: { backend: 'reference' } },
  { name: 'native', choice: { backend: 'native' } },
  { name: 'onnx, cpu', choice: { backend: 'onnx', provider: 'cpu' } },
  { name: 'onnx, webgpu on SwiftShader', choice: { backend: 'onnx', provider: 'webgpu' }, skip: withoutSwiftShader },
  { name: 'tfjs', choice: { backend: 'tfjs' } },
];

const rows = unitRows(330, 24, 1);
const k = 9;
const expected = await searchByBounds(rows, { k, threads: 1 }, 100);
/** Tiles of 128 columns of 24 values for batches of up to 128 rows. */
const smallTiles = 4 * 128 * 128;
const allStay = 2 ** 30;

/** The graph that devices find, and what was heard of them. */
async function find(options: Partial<KnnDevices>, threads = 2) {
  const notices: string[] = [];
  let readings: readonly DeviceReading[] = [];
  const found = await searchOnDevices(
    rows,
    { k, threads, onNotice: (text) => notices.push(text) },
    {
      choices: [{ backend: 'onnx', provider: 'cpu' }],
      batch: 100,
      residentBytes: allStay,
      tileBytes: smallTiles,
      onDevices: (heard) => {
        readings = heard;
      },
      ...options,
    },
  );
  const total = (counter: DeviceCounter) => readings.reduce((sum, { of }) => sum + of(counter), 0);
  return { found, notices, total };
}

function assertExpected(graph: KnnGraph | undefined): void {
  assert.deepEqual(graph?.ids, expected.ids);
}

/** One batch of 8 rows against columns by themselves; the first rows of x are columns. */
async function withBackend(
  { choice }: KnnSetup,
  columns: Omit<KnnColumns, 'tileBytes'>,
  use: (backend: KnnBackend) => Promise<void>,
): Promise<void> {
  const model: KnnColumns = { tileBytes: 2 ** 27, ...columns };
  const backend = await startBackend<KnnColumns>(choice.backend, model, rowCapacity(8), choice);
  for (let i = 0; i < 8; i++) {
    backend.tile.x.set(SharedRows.from(model.columns).row(3 * i), i * model.columns.dim);
  }
  await use(backend);
  await backend.release();
}

for (const setup of setups) {
  describe(`kNN by ${setup.name}`, { skip: setup.skip ?? false }, () => {
    // A driver that plays a GPU takes seconds to start: there the last of these stands for all.
    const residencies = [
      ['stay', allStay],
      ['are uploaded for each batch', 0],
      ['stay as far as there is room', 128 * 4 * (24 + 200)],
    ] as const;
    for (const [where, residentBytes] of setup.choice.provider === 'webgpu' ? residencies.slice(2) : residencies) {
      it(`is the graph of the CPU, to the byte, where tiles ${where}`, async () => {
        const { found, notices } = await find({ choices: [setup.choice], residentBytes });
        assertExpected(found?.graph);
        assert.deepEqual(notices, []);
        const { searchedAgain, largestDifference } = found!.facts;
        assert.equal(searchedAgain, 0);
        assert.ok(largestDifference < 1e-6, String(largestDifference));
      });
    }

    it('lists the nearest of many columns', async () => {
      const many = unitRows(6000, 16, 2);
      const listed = 18;
      await withBackend(setup, { columns: many.handle(), listed, residentBytes: allStay }, async (backend) => {
        await backend.run('nearest', 8);
        const { ids, similarities, sums } = backend.tile;
        await withBackend(setups[0], { columns: many.handle(), listed, residentBytes: 0 }, async (plain) => {
          await plain.run('nearest', 8);
          assert.deepEqual(ids, plain.tile.ids);
          similarities.forEach((found, i) => {
            assert.ok(Math.abs(found - plain.tile.similarities[i]) < 1e-6);
          });
          if (setup.name === 'native') return; // nothing is to be checked of it
          sums.forEach((found, i) => {
            assert.ok(Math.abs(found - plain.tile.sums[i]) < 1e-3);
          });
        });
      });
    });
  });
}

describe('kNN on a device', () => {
  /** Rows of which the first so many are copies of each other, more than are listed. */
  function withCopies(copies: number): SharedRows {
    const some = unitRows(600, 24, 3);
    for (let i = 1; i < copies; i++) some.row(i).set(some.row(0));
    return some;
  }

  it('searches again for rows whose neighbours rounding does not tell apart, by the smaller id', async () => {
    const copied = withCopies(30);
    const devices = { choices: [{ backend: 'onnx', provider: 'cpu' }], residentBytes: allStay } as const;
    const found = await searchOnDevices(copied, { k, threads: 2 }, devices);
    assert.deepEqual(found?.graph.ids, (await searchByBounds(copied, { k, threads: 1 }, 100)).ids);
    assert.deepEqual([...found.graph.ids.subarray(20 * (k + 1), 21 * (k + 1))], [20, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert.ok(found.facts.searchedAgain >= 30, `${found.facts.searchedAgain}`);
  });

  it('leaves to the CPU a set of many ties, and says so', async () => {
    const notices: string[] = [];
    const options = { k, threads: 2, onNotice: (text: string) => void notices.push(text) };
    const devices = { choices: [{ backend: 'onnx', provider: 'cpu' }], residentBytes: allStay } as const;
    assert.equal(await searchOnDevices(withCopies(90), options, devices), undefined);
    assert.match(
      notices.join('\n'),
      /^onnx \(cpu\): \d+ of 600 lists have more ties than rounding lets a device tell apart: /,
    );
  });

  it('gives every other row where k asks for all', async () => {
    const few = unitRows(40, 24, 4);
    const choices: BackendChoice[] = [{ backend: 'onnx', provider: 'cpu' }];
    const found = await searchOnDevices(few, { k: 39, threads: 1 }, { choices, residentBytes: 0, tileBytes: 1 });
    assert.deepEqual(found?.graph.ids, (await searchByCosines(few, { k: 39, threads: 1 })).ids);
  });

  const faulty = (fault: string) => ({ module: new URL(`../devices/faulty-device.js?${fault}`, import.meta.url) });

  it('counts batches, rows and bytes, and several devices share the rows', async () => {
    const { found, total } = await find({ ...faulty('slow=20'), devices: [0, 1] });
    assertExpected(found?.graph);
    assert.ok(found!.facts.devices.every(({ batches }) => batches > 0));
    assert.equal(total('batches'), 4);
    assert.equal(total('rows'), 330);
    // 24 values go there; 27 ids, 27 cosines and a sum come back.
    assert.equal(total('bytes'), 330 * 4 * (24 + 2 * 27 + 1));
  });

  it('takes half a batch when it runs out of memory', async () => {
    const { found, notices, total } = await find(faulty('most=30'));
    assertExpected(found?.graph);
    assert.deepEqual(notices, []);
    assert.ok(total('retries') >= 2 && total('retries') <= 4, `${total('retries')} retries`);
    assert.equal(total('fallbacks'), 0);
  });

  for (const fault of ['lost=2', 'nan=2', 'dies=2']) {
    it(`is given up by ${fault}, and native finds the rest of the same graph, with one warning`, async () => {
      const { found, notices, total } = await find(faulty(fault));
      assertExpected(found?.graph);
      assert.equal(notices.length, 1);
      assert.match(notices[0], /^device 0 was lost, its workers go on with native: /);
      assert.equal(total('batches'), 1);
      assert.ok(total('fallbacks') > 0);
    });
  }

  it('whose cosines are off is not believed: the CPU finds the graph, with a warning', async () => {
    const notices: string[] = [];
    const features = { kind: 'memory', name: 'test rows', rows: rows.handle() } as const;
    const onDevices: KnnDevices = { choices: [{ backend: 'onnx' }], residentBytes: allStay, ...faulty('off=0.001') };
    const found = await findKnn(features, { k, onDevices, onNotice: (text) => notices.push(text) });
    assert.equal(found.computed, undefined);
    assert.deepEqual(found.graph.ids, (await searchByCosines(rows, { k, threads: 1 })).ids);
    assert.deepEqual(notices.length, 1);
    assert.match(notices[0], /^onnx: its cosines are off by up to 0\.0010, more than float32 sums can be: /);
  });

  it('that does not start is an error', async () => {
    await assert.rejects(find(faulty('absent')), { code: 'BACKEND_UNAVAILABLE', message: 'the driver is too old' });
  });

  it('that nobody asked for and that does not start leaves the graph to the CPU, which is told', async () => {
    const notices: string[] = [];
    const onNotice = (text: string) => void notices.push(text);
    const features = { kind: 'memory', name: 'test rows', rows: rows.handle() } as const;
    const onDevices = {
      choices: [{ backend: 'onnx' }],
      unasked: true,
      residentBytes: allStay,
      ...faulty('absent'),
    } as const;
    const { graph, method, computed } = await findKnn(features, { k, onDevices, onNotice });
    assert.deepEqual({ method, computed }, { method: 'exact', computed: undefined });
    assert.deepEqual(graph.ids, (await searchByCosines(rows, { k, threads: 1 })).ids);
    assert.deepEqual(notices, ['the kNN graph is found on the CPU: the driver is too old']);
  });

  it('ends when it is told to', async () => {
    const stopping = new AbortController();
    const devices = { choices: [{ backend: 'onnx' }], batch: 4, residentBytes: allStay, ...faulty('slow=20') } as const;
    const onProgress = () => stopping.abort();
    const searching = searchOnDevices(rows, { k, threads: 2, signal: stopping.signal, onProgress }, devices);
    await assert.rejects(searching, { code: 'CANCELLED' });
  });

  it('keeps its memory flat over 1,000 batches', async () => {
    const columns = { columns: unitRows(500, 64, 5).handle(), listed: 30, residentBytes: 2 ** 18, tileBytes: 2 ** 15 };
    for (const setup of setups.slice(2, 3)) {
      await withBackend(setup, columns, async (backend) => {
        const run = async (batches: number) => {
          for (let i = 0; i < batches; i++) await backend.run('nearest', 1 + (i % 8));
        };
        await run(100);
        const before = process.memoryUsage.rss();
        await run(1000);
        const grown = process.memoryUsage.rss() - before;
        // A batch uploads some of the 125 KB of columns: to keep those would be 50 MB and more.
        assert.ok(grown < 16 * 2 ** 20, `${(grown / 2 ** 20).toFixed(1)} MiB more`);
      });
    }
    await withBackend(setups[4], columns, async (backend) => {
      const held = memory().numTensors;
      for (let i = 0; i < 100; i++) await backend.run('nearest', 1 + (i % 8));
      assert.equal(memory().numTensors, held);
    });
  });
});
