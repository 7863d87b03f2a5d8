import { Gauge, type Registry } from 'prom-client';
import { type ProgressEvent, StageTimes } from '../progress.js';

/** A recorder of stages: their progress, and the engine's counts of those that have ended. */
export interface StageRecorder {
  progress(event: ProgressEvent): void;
  done(stage: string, seconds: number, busy: number): void;
}

/**
 * Progress of each stage of any job, so that percent and time left are a division: done of expected, and what is left of it by
 * `deriv(naan_progress_done[2m])`.
 */
export function addStageMetrics(registry: Registry): StageRecorder {
  const registers = [registry];
  const labelNames = ['stage', 'unit'];
  const times = new StageTimes();
  const measured = new Map<string, number>();
  const done = new Gauge({ name: 'naan_progress_done', help: 'What a stage has done.', labelNames, registers });
  const expected = new Gauge({
    name: 'naan_progress_expected',
    help: 'What a stage has to do in all.',
    labelNames,
    registers,
  });
  new Gauge({
    name: 'naan_stage_seconds',
    help: 'Wall-clock seconds that a stage took, or has taken so far.',
    labelNames: ['stage'],
    registers,
    collect() {
      for (const [stage, value] of Object.entries({ ...times.seconds(), ...Object.fromEntries(measured) })) {
        this.set({ stage }, value);
      }
    },
  });
  const busyRatio = new Gauge({
    name: 'naan_stage_busy_ratio',
    help: 'Part of the time of the threads that they worked in a finished stage, 0 to 1.',
    labelNames: ['stage'],
    registers,
  });
  return {
    progress(event) {
      times.update(event);
      const { stage, unit } = event;
      done.set({ stage, unit }, event.done);
      expected.set({ stage, unit }, event.total);
    },
    done(stage, seconds, busy) {
      measured.set(stage, seconds);
      busyRatio.set({ stage }, busy);
    },
  };
}
