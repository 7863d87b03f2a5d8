import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { allocateRows, openStore, precisions } from '../../src/memory/row-store.js';
import { SharedRows } from '../../src/memory/shared-rows.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-rows-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const rowCount = 40;
const dim = 8;

/** The nearest bfloat16, the even one of two that are equally near: by trying both neighbours. */
function nearestHalf(value: number): number {
  const [bits, float] = [new Uint32Array(1), new Float32Array(1)];
  const asFloat = (upper: number) => {
    bits[0] = upper << 16;
    float.set(new Float32Array(bits.buffer));
    return float[0];
  };
  float[0] = value;
  const below = new Uint32Array(float.buffer)[0] >>> 16;
  const [a, b] = [asFloat(below), asFloat(below + 1)];
  const [toA, toB] = [Math.abs(value - a), Math.abs(value - b)];
  if (toA !== toB) return toA < toB ? a : b;
  return below % 2 === 0 ? a : b;
}

let files = 0;

for (const precision of precisions) {
  for (const where of ['memory', 'file'] as const) {
    describe(`rows as ${precision} in ${where}`, () => {
      const path = () => (where === 'file' ? join(folder, `${precision}-${files++}.rows`) : undefined);
      const kept = (value: number) => (precision === 'f32' ? value : nearestHalf(value));

      it('gives back what was put in, from any rows in any order, to whoever opens it', () => {
        fc.assert(
          fc.property(
            fc.uniqueArray(fc.integer({ min: 0, max: rowCount - 1 }), { minLength: 1 }),
            fc.constantFrom(dim, 4),
            fc.integer({ min: 1, max: 1e6 }),
            (ids, columns, seed) => {
              const handle = allocateRows({ rowCount, dim, precision }, path());
              const values = Float32Array.from(
                { length: ids.length * columns },
                (_, i) => Math.sin(seed + i) * 10 ** (i % 7),
              );
              const order = Int32Array.from(ids);
              const writer = openStore(handle);
              writer.scatter(values, order, ids.length, columns);
              writer.close();
              const reader = openStore(structuredClone(handle));
              const out = new Float32Array(ids.length * columns);
              reader.gather(order.toReversed(), ids.length, out, columns);
              const untouched = Array.from({ length: rowCount }, (_, i) => i).find((i) => !ids.includes(i));
              const other = new Float32Array(dim);
              if (untouched !== undefined) reader.gather(Int32Array.of(untouched), 1, other);
              reader.close();
              for (let i = 0; i < ids.length; i++) {
                const from = (ids.length - 1 - i) * columns;
                for (let c = 0; c < columns; c++) assert.equal(out[i * columns + c], kept(values[from + c]));
              }
              assert.ok(other.every((value) => value === 0));
            },
          ),
          { numRuns: 60 },
        );
      });
    });
  }
}

describe('rows in shared memory', () => {
  it('are put in any order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8], { minLength: 9 }), (order) => {
        const rows = SharedRows.allocate(order.length, 4);
        for (let i = 0; i < order.length; i++) rows.row(i).fill(i);
        rows.arrange(Int32Array.from(order));
        for (const [place, row] of order.entries()) assert.deepEqual([...rows.row(place)], [row, row, row, row]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('rows in a file', () => {
  it('are kept when the store is allocated again, as far as they go', () => {
    const path = join(folder, 'again.rows');
    const shape = { rowCount: 3, dim: 4, precision: 'f32' } as const;
    const read = (rows: number, row = 1) => {
      const store = openStore(allocateRows({ ...shape, rowCount: rows }, path));
      const out = new Float32Array(4);
      store.gather(Int32Array.of(row), 1, out);
      store.close();
      return [...out];
    };
    const store = openStore(allocateRows(shape, path));
    store.scatter(Float32Array.of(1, 2, 3, 4), Int32Array.of(1), 1);
    store.close();
    assert.deepEqual(read(3), [1, 2, 3, 4]);
    assert.deepEqual(read(4), [1, 2, 3, 4]);
    assert.deepEqual(read(4, 3), [0, 0, 0, 0]);
  });

  it('that are gone are an error that names the file', () => {
    const path = join(folder, 'gone.rows');
    const handle = allocateRows({ rowCount: 3, dim: 4, precision: 'f32' }, path);
    rmSync(path);
    assert.throws(() => openStore(handle), { code: 'NOT_WRITABLE', message: new RegExp(path) });
  });
});
