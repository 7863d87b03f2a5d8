/**
 * Tables that are stored by columns, Parquet and Arrow, are decoded in a process of its own: a damaged file can make a library claim
 * memory until V8 ends the process, and that is then one line about the file. The process is started by the first such file, kept for
 * the next, and ends with this one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { usableBytes } from '../memory/available.js';

export type TableForm = 'parquet' | 'arrow';

export interface TableColumn {
  readonly name: string;
  readonly kind: 'list' | 'float' | 'name' | 'other';
}

export interface TableFacts {
  readonly rowCount: number;
  /** Rows of each row group, which Arrow calls a record batch. */
  readonly groups: readonly number[];
  readonly columns: readonly TableColumn[];
}

/** Values of a column: lists of numbers, one behind the other; or any others. */
export type TableValues =
  | { readonly lengths: Int32Array; readonly all: Float64Array }
  | { readonly plain: readonly unknown[] };

/** Some rows from `start` on, as many as go at once: values by column, as they were asked for. */
export interface TableRows {
  readonly count: number;
  readonly columns: readonly TableValues[];
}

export type TableRequest =
  | { readonly kind: 'facts'; readonly form: TableForm; readonly path: string }
  | {
      readonly kind: 'rows';
      readonly form: TableForm;
      readonly path: string;
      readonly columns: readonly string[];
      /** First row of its row group, and the first behind it. */
      readonly group: readonly [number, number];
      readonly start: number;
    };

export type TableReply =
  | { readonly result: TableFacts | TableRows }
  | { readonly error: { readonly message: string; readonly system: object } };

type ResultOf<R extends TableRequest> = R extends { readonly kind: 'facts' } ? TableFacts : TableRows;

let child: ChildProcess | undefined;
/** One request after the other, so that a process that ends was ended by the one that waits. */
let last: Promise<unknown> = Promise.resolve();

/** Throws what the library throws, and Error where the process ended over it or did not end. */
export function askTable<const R extends TableRequest>(request: R): Promise<ResultOf<R>> {
  const answered = last.then(() => ask(request));
  last = answered.catch(() => {});
  return answered as Promise<ResultOf<R>>;
}

/** Number of the process, which is started where there is none. */
export async function tableProcess(): Promise<number> {
  await last;
  child ??= start();
  return child.pid!;
}

function ask(request: TableRequest): Promise<TableFacts | TableRows> {
  child ??= start();
  const process = child;
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      process.off('message', onMessage).off('exit', onEnd).off('error', onEnd);
      process.unref();
      process.channel?.unref();
      finish();
    };
    const onMessage = (reply: TableReply) =>
      settle(() => {
        if ('result' in reply) resolve(reply.result);
        else reject(Object.assign(new Error(reply.error.message), reply.error.system));
      });
    const onEnd = (code: unknown, signal?: unknown) => {
      child = undefined;
      const how = code instanceof Error ? code.message : String(signal ?? `exit code ${code}`);
      settle(() => reject(new Error(`the process that decodes it ended (${how})`)));
    };
    const seconds = secondsFor(request.path);
    const timer = setTimeout(() => {
      child = undefined;
      process.kill('SIGKILL');
      settle(() => reject(new Error(`it was not decoded within ${seconds} s`)));
    }, 1000 * seconds);
    process.ref();
    process.channel?.ref();
    process.on('message', onMessage).on('exit', onEnd).on('error', onEnd);
    // A process that has ended takes no request: how it ended is what 'exit' is about to say.
    process.send(request, () => {});
  });
}

/** Seconds that an answer may take: damage can make the library loop for ever. A whole file takes a small part of it. */
function secondsFor(path: string): number {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return 15 + Math.ceil(bytes / 2 ** 20);
}

function start(): ChildProcess {
  // What V8 says of its end is not for the user; how large row groups may be is checked by who asks for them.
  const heapMib = Math.max(2048, Math.floor(usableBytes() / 2 ** 20));
  const process = fork(fileURLToPath(new URL('../../workers/table-process.js', import.meta.url)), [], {
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${heapMib}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  // The process may also end while nobody waits for it.
  const forget = () => {
    if (child === process) child = undefined;
  };
  return process.on('exit', forget).on('error', forget);
}
