import type { Counters } from '../engine/counters.js';

/** What a run tells whoever watches it, on the main thread. The engine knows this type and nothing else of metrics. */
export interface RunObserver {
  /** Once, before the first stage. `counters` are raised by the workers while they run. */
  start(run: RunDescription): void;
  /** After every change. */
  shards(states: ShardStates): void;
  stageDone(stage: string, seconds: number): void;
}

export interface RunDescription {
  readonly counters: Counters;
  readonly backend: string;
  /** SIMD features in use, such as `relaxed-simd`; `none` for plain loops. */
  readonly simd: string;
  readonly threads: number;
  readonly shards: number;
}

/** Shard tasks of the stage that runs. */
export interface ShardStates {
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  /** Failed once and run again. */
  readonly retried: number;
}
