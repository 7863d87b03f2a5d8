/** The short form of bench/torture.ts: a few kills and faults of each kind, on a set that takes a moment. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { faultCases } from '../../bench/torture/faults.js';
import { fullDiskCases } from '../../bench/torture/full-disk.js';
import { killCases } from '../../bench/torture/kills.js';
import { Lab } from '../../bench/torture/lab.js';
import { tried } from '../../bench/torture/trial.js';
import { temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
const lab = new Lab(join(folder, 'lab'), { nodes: 3000, dim: 64, ids: 20, epochs: { concat: 1, pairwise: 1 } });
before(() => lab.prepare());

const cases = [...killCases(1), ...faultCases(1), ...fullDiskCases(1)];

for (const id of [
  'kill-label/concat-f32/1',
  'kill-label/pairwise-bf16/1',
  'kill-train/concat/0',
  'kill-generate/1',
  'fault-rows/concat-f32/zeroed/0',
  'fault-rows/concat-f32/missing/0',
  'fault-journal/concat-f32/zeros-appended/0',
  'fault-lock/concat-f32/flipped/0',
  'fault-checkpoint/concat/flipped/0',
  'stdout/evaluate',
]) {
  test(id, async (context) => {
    const { ending, note } = await tried(cases.find((one) => one.id === id)!, lab, join(folder, 'cases'), 1);
    if (ending === 'skipped') return context.skip(note);
    assert.ok(ending === 'survived' || ending === 'refused', `${ending}: ${note}`);
    if (note) context.diagnostic(note);
  });
}
