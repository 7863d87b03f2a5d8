/**
 * One line on stderr: stage, percent, rate, time left. On a terminal it is redrawn in place, with a bar where there is room;
 * elsewhere a plain line with the time is written when the job starts and then every few seconds.
 */
import type { ProgressEvent } from '../progress.js';
import { duration, short } from './format.js';

const redrawMs = 100;
const lineMs = 3000;
const barWidth = 20;
/** A terminal narrower than this gets no bar. */
const barColumns = 70;

/** The part of process.stderr that progress needs. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

interface ProgressOptions {
  readonly colour?: boolean;
  /** Draws the bar in ASCII, for a terminal whose locale is not UTF-8. */
  readonly ascii?: boolean;
  /** Writes a line where there is no terminal; default: the line with the time. */
  readonly writeLine?: (event: ProgressEvent, seconds: number) => void;
  /** Milliseconds, only ever compared. */
  readonly now?: () => number;
}

export class Progress {
  private stage = '';
  private stageStart = 0;
  private shown = Number.NEGATIVE_INFINITY;
  private drawn = false;
  private readonly now: () => number;

  constructor(
    private readonly screen: Screen,
    private readonly options: ProgressOptions = {},
  ) {
    this.now = options.now ?? (() => performance.now());
  }

  readonly update = (event: ProgressEvent): void => {
    const now = this.now();
    if (event.stage !== this.stage) {
      this.stage = event.stage;
      this.stageStart = now;
    }
    const { writeLine } = this.options;
    const redraws = this.screen.isTTY && !writeLine;
    if (now - this.shown < (redraws ? redrawMs : lineMs)) return;
    this.shown = now;
    const seconds = (now - this.stageStart) / 1000;
    if (redraws) this.draw(event, seconds);
    else if (writeLine) writeLine(event, seconds);
    else this.screen.write(`${new Date().toISOString().slice(0, 19)}Z ${progressLine(event, seconds)}\n`);
  };

  /** Takes the redrawn line away, so that what is printed next starts on a clean one. */
  clear(): void {
    if (this.drawn) this.screen.write('\r\x1b[2K');
    this.drawn = false;
  }

  private draw(event: ProgressEvent, seconds: number): void {
    const columns = (this.screen.columns || 80) - 1;
    this.drawn = true;
    if (columns < barColumns) return void this.screen.write(`\r\x1b[2K${progressLine(event, seconds, columns)}`);
    const line = progressLine(event, seconds, columns - barWidth - 1);
    const share = event.total > 0 ? Math.min(1, event.done / event.total) : 0;
    const full = Math.round(barWidth * share);
    const [done, open] = this.options.ascii ? '#-' : '━─';
    const bar = done.repeat(full);
    const rest = open.repeat(barWidth - full);
    const painted = this.options.colour ? `\x1b[36m${bar}\x1b[2m${rest}\x1b[0m` : bar + rest;
    const head = line.slice(0, headWidth);
    this.screen.write(`\r\x1b[2K${head} ${painted}${line.slice(headWidth)}`);
  }
}

/** Characters of stage and percent. */
const headWidth = 16;

/** Rate and seconds left, once the stage has run for a moment. */
export function paceOf({ done, total, from = 0 }: ProgressEvent, seconds: number) {
  if (done === from || seconds < 0.5 || total <= 1) return undefined;
  const rate = (done - from) / seconds;
  return { rate, secondsLeft: (total - done) / rate };
}

export function percentOf({ done, total }: ProgressEvent): number {
  return total > 0 ? Math.floor((100 * done) / total) : 0;
}

/** `score       43 %  1.2M edges/s  12 s left`; where it is wider than `columns`, without the rate, then without the time. */
export function progressLine(event: ProgressEvent, seconds: number, columns = Number.POSITIVE_INFINITY): string {
  const line = `${event.stage.padEnd(10)} ${String(percentOf(event)).padStart(3)} %`;
  const pace = paceOf(event, seconds);
  const rate = pace && event.unit !== 'seconds' ? `  ${short(pace.rate)} ${event.unit}/s` : '';
  const left = pace ? `  ${duration(pace.secondsLeft)} left` : '';
  return [line + rate + left, line + left].find(({ length }) => length <= columns) ?? line.slice(0, columns);
}
