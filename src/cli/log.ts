/**
 * All that a command says on stderr: notices and details, each a line (`naan label: …`), progress, and the error at the end. With
 * `--log-format json` every line is one JSON object; with `--json` alone the error is.
 */
import { type ProgressEvent, StageTimes } from '../progress.js';
import { version } from '../version.js';
import { duration } from './format.js';
import { Progress, paceOf, percentOf, type Screen } from './progress.js';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
type Level = (typeof levels)[number];

export interface Log {
  /** Facts that a user should know. */
  warn(message: string): void;
  /** Stages that begin and end. */
  info(message: string): void;
  /** Details that help to find a fault. */
  debug(message: string): void;
}

export interface LogOptions {
  readonly logLevel?: Level | undefined;
  readonly logFormat: 'text' | 'json';
  readonly quiet: boolean;
  readonly json: boolean;
}

/** The end of a run. */
export interface Ending {
  readonly exitCode: number;
  /** Why, unless all went well. */
  readonly error?: { readonly code: string; readonly message: string };
}

type Fields = Readonly<Record<string, unknown>>;

const red = '\x1b[31m';
const yellow = '\x1b[33m';
const plain = '\x1b[0m';

export class StderrLog implements Log {
  private options: LogOptions;
  private least: number;
  private readonly stages = new StageTimes();
  private progress: Progress;
  private readonly began = performance.now();

  /** `asJson`: before the options are known. `colour`, `ascii`: as the screen shows it. */
  constructor(
    private readonly screen: Screen,
    private readonly command: string,
    { asJson, colour, ascii }: { readonly asJson: boolean; readonly colour: boolean; readonly ascii: boolean },
  ) {
    this.colour = colour;
    this.options = { logFormat: 'text', quiet: false, json: asJson };
    this.least = levels.indexOf('warn');
    this.progress = new Progress(screen, { colour, ascii });
  }

  private readonly colour: boolean;

  configure(options: LogOptions): void {
    this.options = options;
    const { logFormat, quiet, logLevel = logFormat === 'json' ? 'info' : 'warn' } = options;
    this.least = Math.max(levels.indexOf(logLevel), quiet ? levels.indexOf('error') : 0);
    if (!this.isJson) return;
    const writeLine = (event: ProgressEvent, seconds: number) => {
      const { stage, done, total, unit } = event;
      const pace = paceOf(event, seconds);
      const left = pace && { secondsLeft: Math.round(pace.secondsLeft) };
      this.event('info', 'progress', { stage, done, total, unit, percent: percentOf(event), ...left });
    };
    this.progress = new Progress(this.screen, { writeLine });
    this.event('info', 'start', { naan: version, pid: process.pid });
  }

  warn = (message: string): void => this.say('warn', message);
  info = (message: string): void => this.say('info', message);
  debug = (message: string): void => this.say('debug', message);

  /** Lines that the user has asked for, whatever the level. */
  tell = (message: string): void => {
    if (this.isJson) this.write(this.object('info', { event: 'message', message }));
    else this.write(`naan ${this.command}: ${message}`);
  };

  readonly onProgress = (event: ProgressEvent): void => {
    const change = this.stages.update(event);
    if (change) {
      if (change.ended) this.stageEnded(change.ended);
      if (this.isJson) this.event('info', 'stage-start', { stage: change.began });
      else this.say('info', `${change.began} begins`);
    }
    if (!this.options.quiet) this.progress.update(event);
  };

  clear(): void {
    this.progress.clear();
  }

  /** The last line. A run that was interrupted says nothing but as JSON. */
  end({ exitCode, error }: Ending, interrupted: boolean): void {
    this.clear();
    const ended = this.stages.end();
    if (ended) this.stageEnded(ended);
    const { json, logFormat } = this.options;
    if (error && (json || this.isJson)) {
      this.write(this.object('error', { event: 'error', code: error.code, exitCode, message: error.message }));
    } else if (error && !interrupted) {
      const name = this.colour ? `${red}naan ${this.command}:${plain}` : `naan ${this.command}:`;
      this.write(`${name} ${error.message}`);
    }
    const seconds = (performance.now() - this.began) / 1000;
    if (logFormat === 'json') this.event('info', 'end', { exitCode, seconds: rounded(seconds) });
  }

  private get isJson(): boolean {
    return this.options.logFormat === 'json';
  }

  private stageEnded({ stage, seconds }: { stage: string; seconds: number }): void {
    if (this.isJson) this.event('info', 'stage-end', { stage, seconds: rounded(seconds) });
    else this.say('info', `${stage} took ${duration(seconds)}`);
  }

  private say(level: Level, message: string): void {
    if (levels.indexOf(level) < this.least) return;
    const name = `naan ${this.command}:`;
    if (this.isJson) this.write(this.object(level, { event: 'message', message }));
    else this.write(`${this.colour && level === 'warn' ? `${yellow}${name}${plain}` : name} ${message}`);
  }

  private event(level: Level, event: string, fields: Fields): void {
    if (levels.indexOf(level) >= this.least) this.write(this.object(level, { event, ...fields }));
  }

  private object(level: Level, fields: Fields): string {
    return JSON.stringify({ time: new Date().toISOString(), level, command: this.command, ...fields });
  }

  private write(line: string): void {
    this.clear();
    this.screen.write(`${line}\n`);
  }
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(3));
}
