import type { DeviceReading } from '../devices/devices.js';
import type { Counters } from '../execution/counters.js';

/** The events that a run reports to an observer, on the main thread. The engine knows this type and nothing else of metrics. */
export interface RunObserver {
  /** The run begins: called once, before the first stage. Workers raise `counters` while they run. */
  start(run: WatchedRun): void;
  /** Called when devices are about to find the kNN graph. */
  devices?(readings: readonly DeviceReading[]): void;
  /** Called when the workers have reported which back-end they started, and again when it is another. */
  backend(started: StartedBackend): void;
  /** The states of shards have changed. */
  shards(states: ShardStates): void;
  /** `busy`: part of the threads' time that they worked, 0..1. */
  stageDone(stage: string, seconds: number, busy: number): void;
}

export interface WatchedRun {
  /** The head of the model. */
  readonly head: string;
  readonly counters: Counters;
  readonly threads: number;
  readonly shards: number;
  readonly devices?: readonly DeviceReading[];
}

export interface StartedBackend {
  readonly backend: string;
  /** SIMD level of its kernels, such as `relaxed`; `none` for plain loops. */
  readonly simd: string;
}

/** Shard tasks of the stage that runs. */
export interface ShardStates {
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  /** Failed once and run again. */
  readonly retried: number;
}
