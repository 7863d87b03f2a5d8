import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { measureLimits } from '../../src/machine/limits.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-limits-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('every rate is measured, and the disk keeps nothing of it', async () => {
  const limits = await measureLimits({ threads: 2, secondsEach: 0.05, dim: 96, folder });
  const { gemmGflops, randomRowGBps, streamGBps, disk } = limits;
  for (const rate of [gemmGflops, randomRowGBps, streamGBps, disk?.readGBps, disk?.writeGBps]) {
    assert(rate !== undefined && rate > 0 && Number.isFinite(rate), JSON.stringify(limits));
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('a folder that cannot be written to is an error that names it', async () => {
  const missing = join(folder, 'absent');
  await assert.rejects(measureLimits({ threads: 1, secondsEach: 0.01, folder: missing }), {
    code: 'NOT_WRITABLE',
    message: `${missing}: the disk cannot be measured there: no such file or directory`,
  });
});

test('an abort ends it', async () => {
  const controller = new AbortController();
  const measured = measureLimits({ threads: 1, secondsEach: 600, signal: controller.signal });
  controller.abort();
  await assert.rejects(measured, { code: 'CANCELLED' });
});
