/**
 * Counters that workers raise in shared memory while they run and the main thread reads when somebody asks.
 * One block of float64 a worker, on cache lines of its own: a worker is the only writer of its block, so plain
 * stores suffice and the hot path pays nothing. Readers may see a value a tile old.
 */
const common = ['edgesScored', 'unions', 'rowsGathered', 'rowsNormalised', 'busySeconds'] as const;
/** A count of the whole run, or the name of a stage, whose nodes are counted. */
export type CounterField = (typeof common)[number] | (string & {});

/** Float64 of a cache line. */
const line = 8;

export interface CountersHandle {
  readonly buffer: SharedArrayBuffer;
  readonly workerCount: number;
  /** Stages that count nodes. */
  readonly stages: readonly string[];
}

export class Counters implements CountersHandle {
  readonly buffer: SharedArrayBuffer;
  readonly workerCount: number;
  readonly stages: readonly string[];
  private readonly values: Float64Array;
  private readonly places: ReadonlyMap<string, number>;
  private readonly stride: number;

  constructor({ buffer, workerCount, stages }: CountersHandle) {
    this.buffer = buffer;
    this.workerCount = workerCount;
    this.stages = stages;
    this.values = new Float64Array(buffer);
    this.places = new Map([...common, ...stages].map((name, place) => [name, place]));
    this.stride = strideOf(stages);
  }

  static allocate(workerCount: number, stages: readonly string[]): Counters {
    const buffer = new SharedArrayBuffer(workerCount * strideOf(stages) * 8);
    return new Counters({ buffer, workerCount, stages });
  }

  handle(): CountersHandle {
    return { buffer: this.buffer, workerCount: this.workerCount, stages: this.stages };
  }

  /** Called by the owning worker only. */
  add(worker: number, field: CounterField, amount: number): void {
    this.values[this.placeOf(worker, field)] += amount;
  }

  of(worker: number, field: CounterField): number {
    return this.values[this.placeOf(worker, field)];
  }

  total(field: CounterField): number {
    let sum = 0;
    for (let w = 0; w < this.workerCount; w++) sum += this.of(w, field);
    return sum;
  }

  private placeOf(worker: number, field: CounterField): number {
    const place = this.places.get(field);
    if (place === undefined) throw new Error(`nothing counts '${field}'`);
    return worker * this.stride + place;
  }
}

/** Whole cache lines. */
function strideOf(stages: readonly string[]): number {
  return Math.ceil((common.length + stages.length) / line) * line;
}
