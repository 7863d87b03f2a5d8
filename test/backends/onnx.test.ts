import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConcatBackend } from '../../src/backends/backend.js';
import type { OnnxProvider } from '../../src/backends/names.js';
import { startBackend } from '../../src/backends/start.js';
import { startDevice } from '../../src/backends/start-device.js';
import { tileCapacity } from '../../src/backends/tile.js';
import { factor } from '../../src/model/factored.js';
import { loadCase } from '../engine/fixture.js';
import { withoutSwiftShader } from './setups.js';

const { model } = await loadCase('one_head');
const factored = factor(model);
const capacity = tileCapacity(32, 8, 4);

async function withOnnx(provider: OnnxProvider, use: (backend: ConcatBackend) => Promise<void>): Promise<void> {
  const backend = await startBackend('onnx', factored, capacity, { provider });
  await use(backend);
  await backend.release();
}

/** Fills a tile of `count` nodes, the last local rows in their lists, so that all rows are uploaded. */
function fill({ tile }: ConcatBackend, count: number): void {
  tile.rows.forEach((_, i) => {
    tile.rows[i] = Math.sin(i);
  });
  tile.lists.fill(-1);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i % capacity.width; j++) tile.lists[i * capacity.width + j] = capacity.rows - 1 - i - j;
  }
}

describe('back-end onnx', () => {
  it('computes each row alike in batches of every size', async () => {
    await withOnnx('cpu', async (backend) => {
      fill(backend, 32);
      await backend.run('aggregate', 32);
      const whole = backend.tile.h.slice();
      for (const count of [1, 3, 4, 5, 8, 9, 16, 17, 31]) {
        backend.tile.h.fill(-1);
        await backend.run('aggregate', count);
        assert.deepEqual(backend.tile.h.slice(0, count * 32), whole.slice(0, count * 32), `${count} nodes`);
      }
    });
  });

  for (const [provider, skip] of [
    ['cpu', false],
    ['webgpu', withoutSwiftShader],
  ] as const) {
    it(`keeps its memory flat over 1,000 batches on ${provider}`, { skip }, async () => {
      await withOnnx(provider, async (backend) => {
        fill(backend, 32);
        const run = async (batches: number) => {
          for (let i = 0; i < batches; i++) await backend.run('embed', 1 + (i % 32));
        };
        await run(100);
        const before = process.memoryUsage.rss();
        await run(1000);
        const grown = process.memoryUsage.rss() - before;
        // A batch moves 37 KB of rows in: to keep those would be 37 MB.
        assert.ok(grown < 12 * 2 ** 20, `${(grown / 2 ** 20).toFixed(1)} MiB more`);
      });
    });
  }

  it('is not started by itself on a software adapter', { skip: withoutSwiftShader }, async () => {
    const choice = { backend: 'onnx', provider: 'webgpu' } as const;
    await (await startDevice(choice, factored, capacity, 0)).release();
    await assert.rejects(startDevice({ ...choice, realAdapter: true }, factored, capacity, 0), {
      code: 'BACKEND_UNAVAILABLE',
      message: /software adapter only/,
    });
  });

  it('says what a provider lacks', async () => {
    const start = startBackend('onnx', factored, capacity, { provider: 'cuda' });
    await assert.rejects(start, {
      code: 'BACKEND_UNAVAILABLE',
      message:
        /provider 'cuda' cannot start: (no NVIDIA device file .* is here|\S*_cuda\.so is missing; fetch it with)/,
    });
  });
});
