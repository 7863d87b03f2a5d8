/**
 * Counters that workers raise in shared memory while they run and the main thread reads when somebody asks.
 * One block of float64 a worker, on cache lines of its own: a worker is the only writer of its block, so plain
 * stores suffice and the hot path pays nothing. Readers may see a value a tile old.
 */
export const stages = [
  'knn',
  'edges',
  'project',
  'aggregate',
  'embed',
  'split',
  'load',
  'similarities',
  'score',
] as const;
export type Stage = (typeof stages)[number];

const fields = [...stages, 'edgesScored', 'unions', 'rowsGathered', 'rowsNormalised', 'busySeconds'] as const;
export type CounterField = (typeof fields)[number];
const stride = 16;

export interface CountersHandle {
  readonly buffer: SharedArrayBuffer;
  readonly workerCount: number;
}

export class Counters implements CountersHandle {
  readonly buffer: SharedArrayBuffer;
  readonly workerCount: number;
  private readonly values: Float64Array;

  constructor(handle: number | CountersHandle) {
    this.workerCount = typeof handle === 'number' ? handle : handle.workerCount;
    this.buffer = typeof handle === 'number' ? new SharedArrayBuffer(handle * stride * 8) : handle.buffer;
    this.values = new Float64Array(this.buffer);
  }

  handle(): CountersHandle {
    return { buffer: this.buffer, workerCount: this.workerCount };
  }

  /** Called by the owning worker only. A stage's own field counts its nodes. */
  add(worker: number, field: CounterField, amount: number): void {
    this.values[worker * stride + fields.indexOf(field)] += amount;
  }

  of(worker: number, field: CounterField): number {
    return this.values[worker * stride + fields.indexOf(field)];
  }

  total(field: CounterField): number {
    let sum = 0;
    for (let w = 0; w < this.workerCount; w++) sum += this.of(w, field);
    return sum;
  }
}
