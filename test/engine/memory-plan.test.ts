import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { smoothedDistanceModel } from '../../bench/smoothed-distance-model.js';
import { type Partition, partitions } from '../../src/cluster/partition.js';
import { describePlan, type PlanShape, planMemory } from '../../src/engine/memory-plan.js';
import { headOf } from '../../src/heads/heads.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-plan-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const gib = 2 ** 30;
const model = smoothedDistanceModel(512, [20, 10]);
const shape: PlanShape = {
  model,
  head: headOf(model),
  nodes: 1_000_000,
  dim: 512,
  columns: 21,
  edges: 15_000_000,
  partition: 'propagation',
  threads: 2,
  batch: 512,
};

describe('planMemory', () => {
  it('keeps rows as f32 where they fit, else as bf16', () => {
    const wide = planMemory(shape, { memory: 16 * gib });
    assert.equal(wide.precision, 'f32');
    assert.equal(wide.parts.rows, 2 * 1_000_000 * 512 * 4);
    const tight = planMemory(shape, { memory: 4 * gib });
    assert.equal(tight.precision, 'bf16');
    assert.equal(tight.parts.rows, wide.parts.rows / 2);
    assert.ok(tight.memoryBytes <= 4 * gib);
  });

  it('refuses what cannot fit, with the size that would', () => {
    const refusal = (memory: number, precision?: 'f32') => {
      try {
        planMemory(shape, { memory, precision });
      } catch (error) {
        return error as Error & { code: string };
      }
      throw new assert.AssertionError({ message: 'was not refused' });
    };
    const { code, message } = refusal(gib);
    assert.equal(code, 'OUT_OF_MEMORY');
    assert.match(message, /^1000000 nodes × 512 need 2\.\d GiB .* as bf16, but 1\.0 GiB may be taken: .*--work-dir/);
    const needed = Number(/need ([\d.]+) GiB/.exec(message)?.[1]);
    assert.equal(planMemory(shape, { memory: (needed + 0.05) * gib }).precision, 'bf16');
    assert.match(refusal(4 * gib, 'f32').message, /with rows as f32/);
  });

  it('counts whole bytes, for any set, partition and memory', () => {
    const sizes = { nodes: 5_183_579, dim: 511, edges: 77_000_000 / 3, threads: 3, saveEdges: true };
    for (const partition of partitions) {
      for (const [where, request] of Object.entries({ memory: {}, files: { workDir: join(folder, 'work') } })) {
        // Small enough for any disk, and not a multiple of anything.
        const small = where === 'files' ? { nodes: 5003, edges: 70_001 / 3 } : {};
        const plan = planMemory({ ...shape, ...sizes, ...small, partition }, { memory: 1e15 / 7, ...request });
        const bytes = [...Object.values(plan.parts), plan.memoryBytes, plan.diskBytes, plan.limitBytes];
        assert.ok(bytes.every(Number.isInteger), `${partition}: ${bytes}`);
      }
    }
  });

  it('with a work directory takes no memory for rows, and f32', () => {
    const plan = planMemory(shape, { memory: gib, workDir: join(folder, 'work') });
    assert.equal(plan.parts.rows, 0);
    assert.equal(plan.precision, 'f32');
    assert.ok(plan.diskBytes > 3 * 1_000_000 * 512 * 4);
    assert.match(describePlan(plan), /^about 0\.\d+ of 1\.0 GiB of memory: rows as f32 in files, 5\.\d GiB/);
  });

  it('counts pairs that are written where the partition takes less', () => {
    const parts = (partition: Partition, saveEdges: boolean) =>
      planMemory({ ...shape, partition, saveEdges }, { memory: 16 * gib }).parts;
    assert.equal(parts('propagation', true).partition, 12 * shape.edges + 4 * shape.nodes);
    assert.equal(parts('linkage', true).partition, parts('linkage', false).partition);
  });

  it('counts edges at both ends where a partition looks at neighbours', () => {
    const bytes = (partition: Partition) => planMemory({ ...shape, partition }, { memory: 16 * gib }).memoryBytes;
    const more = bytes('linkage') - bytes('propagation');
    assert.ok(more > 15 * shape.edges && more < 40 * shape.edges, `${more}`);
  });

  it('counts links of two runs where the sizes of clusters are found first', () => {
    const linkage = (absentPairs: 'room' | 'capacity') => {
      const config = { ...model.config, absentPairs };
      return planMemory({ ...shape, model: { ...model, config } as typeof model, partition: 'linkage' }, {}).parts
        .partition;
    };
    assert.ok(linkage('capacity') >= linkage('room') + 16 * shape.edges);
  });

  it('counts features that must be inflated, and says how to do without', () => {
    const features = 1_000_000 * 512 * 4;
    const plain = planMemory(shape, { memory: 16 * gib });
    const plan = planMemory({ ...shape, deflated: 'feats.npz:embs' }, { memory: 16 * gib });
    assert.equal(plan.parts.features, features);
    assert.equal(plan.memoryBytes, plain.memoryBytes + features);
    assert.match(describePlan(plan), /rows 3\.8 as f32, features 1\.9, graph/);
    assert.doesNotMatch(describePlan(plain), /features/);
    const request = { memory: plain.memoryBytes, precision: 'f32' } as const;
    assert.throws(() => planMemory({ ...shape, deflated: 'feats.npz:embs' }, request), {
      code: 'OUT_OF_MEMORY',
      message:
        /^feats\.npz:embs: is compressed or a table, .* into 1\.9 GiB of memory beside the .* GiB may be taken: store them/,
    });
  });
});
