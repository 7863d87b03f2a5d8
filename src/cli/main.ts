#!/usr/bin/env node
/** Parse, run, print, exit code. The only place that reads argv and the environment, and that exits. */
import { availableParallelism } from 'node:os';
import { asNaanError, NaanError } from '../errors.js';
import type { CommandName } from '../options/table.js';
import { systemReason } from '../system-error.js';
import type { Context, Run } from './command.js';
import { parse, type Usage } from './program.js';

/** Loaded when asked for, so that help is quick. */
const runs: { [C in CommandName]: () => Promise<{ run: Run<C>; graceMs?: number }> } = {
  generate: () => import('./generate.js'),
  extract: () => import('./extract.js'),
  knn: () => import('./knn.js'),
  train: () => import('./train.js'),
  label: () => import('./label.js'),
  assign: () => import('./assign.js'),
  tune: () => import('./tune.js'),
  status: () => import('./status.js'),
  report: () => import('./report.js'),
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
  const [{ resolve }, { Interrupt }, { Progress }, { createLog }, { removeUnfinished }] = await Promise.all([
    import('../options/resolve.js'),
    import('./interrupt.js'),
    import('./progress.js'),
    import('./log.js'),
    import('../io/temporaries.js'),
  ]);
  const progress = new Progress(process.stderr);
  const interrupt = new Interrupt(() => {
    progress.clear();
    removeUnfinished();
  }, process.env);
  let showStack = false;
  const fail = (error: unknown): number => {
    progress.clear();
    removeUnfinished();
    if (interrupt.exitCode !== undefined) return interrupt.exitCode;
    process.stderr.write(`naan ${command}: ${describe(error, showStack)}\n`);
    return exitCodeOf(error);
  };
  process.on('uncaughtException', (error) => process.exit(fail(error)));
  try {
    checkWorkingDirectory();
    const { values, origins, notices } = await resolve(command, { flags, environment: process.env });
    showStack = values.logLevel === 'debug' || values.logLevel === 'trace';
    const onProgress = values.quiet ? () => {} : progress.update;
    const tell = (line: string) => {
      progress.clear();
      process.stderr.write(`naan ${command}: ${line}\n`);
    };
    const log = createLog(values, tell);
    for (const notice of notices) log.warn(notice);
    const threads = 'threads' in values ? Number(values.threads) : 0;
    if (threads > availableParallelism()) {
      log.warn(`threads: ${threads} on ${availableParallelism()} cores wait for one another`);
    }
    log.debug(`options ${JSON.stringify({ values, origins })}`);
    const { run, graceMs } = await runs[command]();
    if (graceMs !== undefined) interrupt.graceMs = graceMs;
    const context: Context = { signal: interrupt.signal, onProgress, log, tell, origins };
    const printed = await run(values, context);
    progress.clear();
    await write(`${values.json ? JSON.stringify(printed.json) : printed.text}\n`);
    return interrupt.exitCode ?? 0;
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
