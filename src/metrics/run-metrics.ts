import { Registry } from 'prom-client';
import type { RunDescription, RunObserver, ShardStates, StartedBackend } from '../engine/run-observer.js';
import { addDeviceMetrics } from './devices.js';
import { addBuildInfo, addProcessMetrics } from './process.js';
import { addShardMetrics } from './shards.js';
import { addStageMetrics } from './stages.js';
import { addWorkMetrics } from './work.js';
import { addWorkerMetrics } from './workers.js';

/** Prometheus metrics of one run. Work and worker metrics appear once the run has started. */
export class RunMetrics implements RunObserver {
  readonly registry = new Registry();
  readonly shards: (states: ShardStates) => void;
  readonly stageDone: RunObserver['stageDone'];

  constructor() {
    addProcessMetrics(this.registry);
    this.shards = addShardMetrics(this.registry);
    this.stageDone = addStageMetrics(this.registry);
  }

  start({ counters, devices = [] }: RunDescription): void {
    addWorkMetrics(this.registry, counters);
    addWorkerMetrics(this.registry, counters);
    if (devices.length > 0) addDeviceMetrics(this.registry, devices);
  }

  backend({ backend, simd }: StartedBackend): void {
    addBuildInfo(this.registry, backend, simd);
  }
}
