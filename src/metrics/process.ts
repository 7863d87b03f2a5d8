import { Counter, Gauge, type Registry } from 'prom-client';
import { peakResidentBytes } from '../memory/peak.js';
import { version } from '../version.js';

/** Memory and processor time of the process, all threads and shared memory included. */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'naan_resident_memory_bytes',
    help: 'Resident memory of the process.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'naan_peak_resident_memory_bytes',
    help: 'The most resident memory that the process has had.',
    registers,
    collect() {
      this.set(peakResidentBytes());
    },
  });
  new Counter({
    name: 'naan_cpu_seconds_total',
    help: 'Processor time of all threads.',
    labelNames: ['mode'],
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc({ mode: 'user' }, user / 1e6);
      this.inc({ mode: 'system' }, system / 1e6);
    },
  });
}

/** Version, head, back-end and the like of the run; a value that is not known yet is empty. */
export interface BuildInfo {
  readonly command: string;
  readonly head?: string;
  readonly backend?: string;
  readonly simd?: string;
}

/** Adds `naan_build_info`, labels of a constant 1. Returns a function that fills in values once they are known. */
export function addBuildInfo(registry: Registry): (known: BuildInfo) => void {
  const info = new Gauge({
    name: 'naan_build_info',
    help: 'Versions, command, head and back-end of this run; the value is always 1.',
    labelNames: ['version', 'node', 'command', 'head', 'backend', 'simd'],
    registers: [registry],
  });
  return ({ command, head = '', backend = '', simd = '' }) => {
    info.reset();
    info.set({ version, node: process.versions.node, command, head, backend, simd }, 1);
  };
}
