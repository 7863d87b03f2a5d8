import { Gauge, type Registry } from 'prom-client';
import { version } from '../version.js';

/** Memory of the process, all threads and shared memory included. */
export function addProcessMetrics(registry: Registry): void {
  new Gauge({
    name: 'naan_resident_memory_bytes',
    help: 'Resident memory of the process.',
    registers: [registry],
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
}

/** What runs, as labels of a constant 1. */
export function addBuildInfo(registry: Registry, backend: string, simd: string): void {
  const info = new Gauge({
    name: 'naan_build_info',
    help: 'Versions and back-end of this run; the value is always 1.',
    labelNames: ['version', 'node', 'backend', 'simd'],
    registers: [registry],
  });
  info.set({ version, node: process.versions.node, backend, simd }, 1);
}
