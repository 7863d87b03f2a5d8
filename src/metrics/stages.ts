import { Gauge, Histogram, type Registry } from 'prom-client';

const buckets = [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000];

/** Returns the recorder of finished stages. */
export function addStageMetrics(registry: Registry): (stage: string, seconds: number, busy: number) => void {
  const seconds = new Histogram({
    name: 'naan_stage_seconds',
    help: 'Wall-clock seconds that a finished stage took.',
    labelNames: ['stage'],
    buckets,
    registers: [registry],
  });
  const busyRatio = new Gauge({
    name: 'naan_stage_busy_ratio',
    help: 'Part of the time of the threads that they worked in a finished stage, 0 to 1.',
    labelNames: ['stage'],
    registers: [registry],
  });
  return (stage, value, busy) => {
    seconds.observe({ stage }, value);
    busyRatio.set({ stage }, busy);
  };
}
