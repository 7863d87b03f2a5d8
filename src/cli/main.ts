#!/usr/bin/env node
/** Parse, run, print, exit code. The only place that reads argv and the environment, and that exits. */
import { availableCores } from '../cgroup.js';
import { asNaanError, NaanError } from '../errors.js';
import { type CommandName, optionsOf } from '../options/table.js';
import type { ProgressEvent } from '../progress.js';
import { systemReason } from '../system-error.js';
import type { Run } from './command.js';
import type { Ending } from './log.js';
import { parse, type Usage } from './program.js';
import type { Watch } from './watch.js';

/** Loaded when asked for, so that help is quick. */
const runs: { [C in CommandName]: () => Promise<{ run: Run<C>; graceMs?: number }> } = {
  generate: () => import('./generate.js'),
  extract: () => import('./extract.js'),
  knn: () => import('./knn.js'),
  train: () => import('./train.js'),
  label: () => import('./label.js'),
  assign: () => import('./assign.js'),
  add: () => import('./add.js'),
  remove: () => import('./remove.js'),
  tune: () => import('./tune.js'),
  worker: () => import('./worker.js'),
  cancel: () => import('./cancel.js'),
  status: () => import('./status.js'),
  diff: () => import('./diff.js'),
  completion: () => import('./completion.js'),
  report: () => import('./report.js'),
  review: () => import('./review.js'),
  export: () => import('./export.js'),
  evaluate: () => import('./evaluate.js'),
  cut: () => import('./cut.js'),
  sweep: () => import('./sweep.js'),
  'import-model': () => import('./import-model.js'),
  doctor: () => import('./doctor.js'),
};

process.stdout.on('error', () => {}); // `write` tells
process.stderr.on('error', () => {}); // there is nobody left to tell

const asked = parse(process.argv.slice(2));
process.exit('command' in asked ? await execute(asked.command, asked.flags) : await printUsage(asked));

async function printUsage({ text, exitCode }: Usage): Promise<number> {
  try {
    await write(text);
    return exitCode;
  } catch (error) {
    process.stderr.write(`naan: ${describe(error, false)}\n`);
    return exitCodeOf(error);
  }
}

async function execute<C extends CommandName>(command: C, flags: Record<string, unknown>): Promise<number> {
  const [{ resolve }, { Interrupt }, { StderrLog }, { startWatch }, { removeUnfinished }] = await Promise.all([
    import('../options/resolve.js'),
    import('./interrupt.js'),
    import('./log.js'),
    import('./watch.js'),
    import('../io/temporaries.js'),
  ]);
  const { NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG } = process.env;
  const isDumb = TERM === 'dumb';
  const locale = LC_ALL || LC_CTYPE || LANG;
  const ascii = locale !== undefined && locale !== '' && !/utf-?8/i.test(locale);
  const colour = process.stderr.isTTY && !NO_COLOR && !isDumb;
  const screen = isDumb ? { write: (text: string) => process.stderr.write(text) } : process.stderr;
  const log = new StderrLog(screen, command, { asJson: flags.json === true, colour, ascii });
  const interrupt = new Interrupt(() => {
    log.clear();
    removeUnfinished();
  }, process.env);
  let showStack = false;
  let watch: Watch | undefined;
  const finish = async (ending: Ending): Promise<number> => {
    await watch?.end(ending);
    log.end(ending, interrupt.exitCode !== undefined);
    return ending.exitCode;
  };
  const fail = (error: unknown): Promise<number> => {
    log.clear();
    removeUnfinished();
    const exitCode = interrupt.exitCode ?? exitCodeOf(error);
    const code = interrupt.exitCode === undefined ? (asNaanError(error)?.code ?? 'UNEXPECTED') : 'CANCELLED';
    const message = interrupt.exitCode === undefined ? describe(error, showStack) : 'interrupted';
    return finish({ exitCode, error: { code, message } });
  };
  process.on('uncaughtException', (error) => void fail(error).then((code) => process.exit(code)));
  try {
    checkWorkingDirectory();
    const { values, origins, notices, clusterPassword } = await resolve(command, { flags, environment: process.env });
    showStack = values.logLevel === 'debug' || values.logLevel === 'trace';
    log.configure(values);
    for (const notice of notices) log.warn(notice);
    const threads = 'threads' in values ? Number(values.threads) : 0;
    if (threads > availableCores()) {
      log.warn(`threads: ${threads} on ${availableCores()} cores wait for one another`);
    }
    log.debug(`options ${JSON.stringify({ values, origins })}`);
    const { run, graceMs } = await runs[command]();
    if (graceMs !== undefined) interrupt.graceMs = graceMs;
    const watching = await startWatch(command, values, optionsOf(command), log);
    watch = watching;
    const onProgress = (event: ProgressEvent) => {
      log.onProgress(event);
      watching.progress(event);
    };
    const { metrics } = watching;
    const { signal } = interrupt;
    const commandLine = process.argv.slice(2);
    const { tell } = log;
    const context = { signal, onProgress, log, tell, metrics, commandLine, origins, clusterPassword };
    const { withStandardInput } = await import('./standard-input.js');
    const printed = await withStandardInput(values, { signal, info: log.info }, () => run(values, context));
    log.clear();
    await write(`${values.json ? JSON.stringify(printed.json) : printed.text}\n`);
    return await finish({ exitCode: interrupt.exitCode ?? 0 });
  } catch (error) {
    return fail(error);
  }
}

/** Threads cannot start where there is none. */
function checkWorkingDirectory(): void {
  try {
    process.cwd();
  } catch (cause) {
    throw new NaanError('BAD_USAGE', 'the working directory was removed: change to one that is there', { cause });
  }
}

function exitCodeOf(error: unknown): number {
  return asNaanError(error)?.exitCode ?? 1;
}

/** One line, unless the stack is wanted. */
function describe(error: unknown, showStack: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (showStack && error.stack) return error.stack;
  const message = asNaanError(error)?.message ?? `${error.name}: ${error.message}`;
  return message.replace(/\s*\n\s*/g, ' ');
}

/**
 * Resolves when the text has left the process, so that exiting cannot cut it, or when whoever read it has gone
 * (`naan sweep … | head -1`). Throws NOT_WRITABLE.
 */
function write(text: string): Promise<void> {
  return new Promise((done, failed) => {
    process.stdout.write(text, (error) => {
      if (!error || (error as NodeJS.ErrnoException).code === 'EPIPE') return done();
      const reason = systemReason(error) ?? error.message;
      failed(new NaanError('NOT_WRITABLE', `stdout: cannot be written: ${reason}`, { cause: error }));
    });
  });
}
