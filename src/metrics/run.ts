import { Gauge, type Registry } from 'prom-client';

/** Metrics of the times at which the run began and ended, and of how it ended. Returns the function to call at its end. */
export function addRunMetrics(registry: Registry): (succeeded: boolean) => void {
  const registers = [registry];
  new Gauge({ name: 'naan_run_start_time_seconds', help: 'When the run began, Unix time.', registers }).set(now());
  const ended = new Gauge({
    name: 'naan_run_end_time_seconds',
    help: 'When the run ended, Unix time; 0 while it lasts.',
    registers,
  });
  new Gauge({
    name: 'naan_run_updated_time_seconds',
    help: 'When these metrics were read, Unix time: of a run that has vanished it stands still.',
    registers,
    collect() {
      this.set(now());
    },
  });
  return (succeeded) => {
    ended.set(now());
    new Gauge({
      name: 'naan_run_success',
      help: 'Of a run that has ended: 1 if all went well, else 0.',
      registers,
    }).set(succeeded ? 1 : 0);
  };
}

function now(): number {
  return Date.now() / 1000;
}
