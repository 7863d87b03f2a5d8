/**
 * One line on stderr: stage, percent, rate, time left. On a terminal it is redrawn in place; elsewhere a plain line is
 * written when the job starts and then every few seconds.
 */
import type { ProgressEvent } from '../progress.js';
import { duration, short } from './format.js';

const redrawMs = 100;
const lineMs = 3000;

/** As much of process.stderr as is needed here. */
interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  private stage = '';
  private stageStart = 0;
  private shown = Number.NEGATIVE_INFINITY;
  private drawn = false;

  constructor(
    private readonly screen: Screen,
    /** Milliseconds, only ever compared. */
    private readonly now: () => number = () => performance.now(),
  ) {}

  readonly update = (event: ProgressEvent): void => {
    const now = this.now();
    if (event.stage !== this.stage) {
      this.stage = event.stage;
      this.stageStart = now;
    }
    if (now - this.shown < (this.screen.isTTY ? redrawMs : lineMs)) return;
    this.shown = now;
    const line = progressLine(event, (now - this.stageStart) / 1000);
    if (!this.screen.isTTY) {
      this.screen.write(`${line}\n`);
      return;
    }
    this.screen.write(`\r\x1b[2K${line.slice(0, (this.screen.columns || 80) - 1)}`);
    this.drawn = true;
  };

  /** Takes the redrawn line away, so that what is printed next starts on a clean one. */
  clear(): void {
    if (this.drawn) this.screen.write('\r\x1b[2K');
    this.drawn = false;
  }
}

/** `score       43 %  1.2M edges/s  12 s left`; rate and time left once the stage has run for a moment. */
export function progressLine({ stage, done, total, unit, from = 0 }: ProgressEvent, seconds: number): string {
  const percent = total > 0 ? Math.floor((100 * done) / total) : 0;
  const line = `${stage.padEnd(10)} ${String(percent).padStart(3)} %`;
  if (done === from || seconds < 0.5) return line;
  const rate = (done - from) / seconds;
  return `${line}  ${short(rate)} ${unit}/s  ${duration((total - done) / rate)} left`;
}
