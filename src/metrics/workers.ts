import { Counter, type Registry } from 'prom-client';
import type { Counters } from '../execution/counters.js';

/** Busy seconds of each worker thread: a rate near 1 is a worker that never waits. */
export function addWorkerMetrics(registry: Registry, counters: Counters): void {
  new Counter({
    name: 'naan_worker_busy_seconds_total',
    help: 'Seconds that a worker thread has spent on tasks.',
    labelNames: ['worker'],
    registers: [registry],
    collect() {
      this.reset();
      for (let worker = 0; worker < counters.workerCount; worker++) {
        this.inc({ worker: String(worker) }, counters.of(worker, 'busySeconds'));
      }
    },
  });
}
