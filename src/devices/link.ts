/**
 * The memory that the thread that owns a device shares with the workers that feed it. A worker has one slot: it fills the slot's
 * tile, submits it and sleeps; the owner takes submitted slots in turn, computes, and wakes their workers. So the queue
 * holds at most one batch a worker, and while the device computes one the other workers gather theirs.
 *
 * Order matters: a request is written before its slot is `submitted`, results before it is `done`, the reason before the
 * device is `gone`; each by an atomic store, which the other side reads first.
 */
import type { TileMemory } from '../backends/backend.js';
import type { TileLayout } from '../backends/stages.js';
import { allocateTile, ownBuffers } from '../backends/tile.js';

const starting = 0;
const ready = 1;
const gone = 2;

const idle = 0;
const submitted = 1;
const done = 2;
const refused = 3;

/** Cells of `control`, then the state of each slot. */
const stateCell = 0;
const callsCell = 1;
const closingCell = 2;
const fallbacksCell = 3;
/** Number of what has started, from 1 on; 0 before. */
const choiceCell = 4;
const firstSlot = 5;

const reasonBytes = 2048;

/** A worker looks up from its sleep this often, in case the owner has died. */
const watchMs = 200;

/** Raised by the owner. */
const counterFields = ['batches', 'rows', 'bytes', 'busySeconds', 'retries'] as const;
/** `queue`: batches that wait, the one that is computed included; the others only grow. */
export type DeviceCounter = (typeof counterFields)[number] | 'fallbacks' | 'queue';

export interface DeviceLinkHandle {
  readonly layout: TileLayout;
  readonly control: Int32Array;
  readonly counters: Float64Array;
  readonly reason: Uint8Array;
  /** Stage and count of the request in each slot, and its tile. */
  readonly requests: Int32Array;
  readonly tiles: readonly TileMemory[];
}

export interface Request {
  readonly slot: number;
  readonly stage: string;
  readonly count: number;
  readonly tile: TileMemory;
}

export class DeviceLink {
  private readonly stages: readonly string[];

  constructor(readonly handle: DeviceLinkHandle) {
    this.stages = Object.keys(handle.layout.stages);
  }

  static allocate(layout: TileLayout, slots: number): DeviceLink {
    const shared = (bytes: number) => new SharedArrayBuffer(bytes);
    return new DeviceLink({
      layout,
      control: new Int32Array(shared(4 * (firstSlot + slots))),
      counters: new Float64Array(shared(8 * counterFields.length)),
      reason: new Uint8Array(shared(reasonBytes)),
      requests: new Int32Array(shared(8 * slots)),
      tiles: Array.from({ length: slots }, () => allocateTile(layout, ownBuffers(shared))),
    });
  }

  of(field: DeviceCounter): number {
    const { control } = this.handle;
    if (field === 'fallbacks') return Atomics.load(control, fallbacksCell);
    if (field === 'queue') return control.subarray(firstSlot).filter((state) => state === submitted).length;
    return this.handle.counters[counterFields.indexOf(field)];
  }

  // The worker's side.

  /** Sleeps until the device has started, or cannot: then false. One that was lost since has started. */
  waitForStart(): boolean {
    const { control } = this.handle;
    while (Atomics.load(control, stateCell) === starting) Atomics.wait(control, stateCell, starting, watchMs);
    return Atomics.load(control, choiceCell) > 0;
  }

  /** Computes a stage on the slot's tile; false when the device has gone: the inputs are as they were. */
  compute(slot: number, stage: string, count: number): boolean {
    const { control, requests } = this.handle;
    const cell = firstSlot + slot;
    requests[2 * slot] = this.stages.indexOf(stage);
    requests[2 * slot + 1] = count;
    Atomics.store(control, cell, submitted);
    Atomics.add(control, callsCell, 1);
    Atomics.notify(control, callsCell);
    while (Atomics.load(control, cell) === submitted && this.isReady) Atomics.wait(control, cell, submitted, watchMs);
    return Atomics.exchange(control, cell, idle) === done;
  }

  countFallback(): void {
    Atomics.add(this.handle.control, fallbacksCell, 1);
  }

  /** Number of what has started. */
  get choice(): number {
    return Atomics.load(this.handle.control, choiceCell) - 1;
  }

  /** Why the device has gone. */
  get reason(): string {
    const bytes = Buffer.from(this.handle.reason.slice());
    return bytes.subarray(0, bytes.indexOf(0)).toString();
  }

  // The owner's side.

  get isReady(): boolean {
    return Atomics.load(this.handle.control, stateCell) === ready;
  }

  get isGone(): boolean {
    return Atomics.load(this.handle.control, stateCell) === gone;
  }

  get isClosing(): boolean {
    return Atomics.load(this.handle.control, closingCell) !== 0;
  }

  /** `choice`: number of what has started. */
  started(choice: number): void {
    Atomics.store(this.handle.control, choiceCell, choice + 1);
    Atomics.compareExchange(this.handle.control, stateCell, starting, ready);
    Atomics.notify(this.handle.control, stateCell);
  }

  /** The next submitted slot from `first` on, in turn; sleeps until there is one. Undefined when closing. */
  next(first: number): Request | undefined {
    const { control, requests, tiles } = this.handle;
    for (;;) {
      const calls = Atomics.load(control, callsCell);
      if (this.isClosing) return undefined;
      for (let i = 0; i < tiles.length; i++) {
        const slot = (first + i) % tiles.length;
        if (Atomics.load(control, firstSlot + slot) !== submitted) continue;
        return { slot, stage: this.stages[requests[2 * slot]], count: requests[2 * slot + 1], tile: tiles[slot] };
      }
      Atomics.wait(control, callsCell, calls);
    }
  }

  answer(slot: number, computed: boolean): void {
    const { control } = this.handle;
    Atomics.store(control, firstSlot + slot, computed ? done : refused);
    Atomics.notify(control, firstSlot + slot);
  }

  count(field: (typeof counterFields)[number], amount: number): void {
    this.handle.counters[counterFields.indexOf(field)] += amount;
  }

  // Either the owner's or the main thread's.

  /** No more batches: workers that wait are woken. The first reason stays. */
  end(reason: string): void {
    const { control, reason: bytes, tiles } = this.handle;
    if (this.isGone) return;
    Buffer.from(bytes.buffer).write(reason.slice(0, reasonBytes / 4));
    Atomics.store(control, stateCell, gone);
    Atomics.notify(control, stateCell);
    for (let slot = 0; slot < tiles.length; slot++) Atomics.notify(control, firstSlot + slot);
  }

  /** Asks the owner to end once it has computed what it has in hand. */
  close(): void {
    Atomics.store(this.handle.control, closingCell, 1);
    Atomics.add(this.handle.control, callsCell, 1);
    Atomics.notify(this.handle.control, callsCell);
  }
}
