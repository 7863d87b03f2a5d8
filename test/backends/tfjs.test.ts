import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import type { ConcatBackend } from '../../src/backends/backend.js';
import { startBackend } from '../../src/backends/start.js';
import { tileCapacity } from '../../src/backends/tile.js';
import { factor } from '../../src/model/factored.js';
import { loadCase } from '../engine/fixture.js';

const batch = 8;
const stages = ['project', 'aggregate', 'embed', 'split'] as const;

/** Fills every input of a tile: lists of one to w entries, rows in reach of any list. */
function fill({ tile }: ConcatBackend): void {
  for (const values of [tile.x, tile.rows, tile.rowT, tile.s, tile.centres, tile.left]) {
    for (let i = 0; i < values.length; i++) values[i] = Math.sin(i);
  }
  const width = tile.lists.length / batch;
  for (let i = 0; i < batch; i++) {
    for (let c = 0; c < width; c++) tile.lists[i * width + c] = c <= i % width ? (i * 7 + c) % tile.rowT.length : -1;
  }
  for (let e = 0; e < tile.scores.length; e++) {
    tile.pairs[2 * e] = e % batch;
    tile.pairs[2 * e + 1] = (3 * e) % batch;
  }
}

describe('TensorFlow.js', () => {
  it('holds as many tensors after 1,000 batches as before, and none once released', async () => {
    const { model } = await loadCase('four_heads');
    const backend = await startBackend('tfjs', factor(model), tileCapacity(batch, 10, 4));
    const held = memory();
    assert.ok(held.numTensors > 0);
    fill(backend);
    for (let i = 0; i < 1000; i++) {
      const count = 1 + (i % batch);
      for (const stage of stages) await backend.run(stage, count);
      await backend.run('score', backend.tile.scores.length - (i % 5));
    }
    const { numTensors, numBytes } = memory();
    assert.deepEqual({ numTensors, numBytes }, { numTensors: held.numTensors, numBytes: held.numBytes });
    await backend.release();
    assert.equal(memory().numTensors, 0);
  });

  it('takes lists of any length up to full, as the reference does', async () => {
    const { model } = await loadCase('four_heads');
    const factored = factor(model);
    const results = await Promise.all(
      (['tfjs', 'reference'] as const).map(async (name) => {
        const backend = await startBackend(name, factored, tileCapacity(batch, 10, 4));
        fill(backend);
        for (const stage of stages) await backend.run(stage, batch);
        fill(backend);
        await backend.run('score', backend.tile.scores.length);
        await backend.release();
        return backend.tile;
      }),
    );
    for (const name of ['h', 't', 'right', 'scores'] as const) {
      const [found, expected] = results.map((tile) => tile[name]);
      found.forEach((value, i) => {
        assert.ok(Math.abs(value - expected[i]) <= 1e-5 * Math.max(1, Math.abs(expected[i])), `${name} ${i}`);
      });
    }
  });

  it('refuses a tile that its WebAssembly memory cannot hold', async () => {
    const { model } = await loadCase('one_head');
    await assert.rejects(startBackend('tfjs', factor(model), tileCapacity(2 ** 20, 20, 10)), {
      code: 'BAD_USAGE',
      message:
        /^a tile of 1048576 nodes takes [\d.]+ GiB in TensorFlow.js on WebAssembly, at most 2.0: use a smaller batch$/,
    });
  });
});
