import type { RunMetrics } from '../metrics/run-metrics.js';
import type { CommandName, CommandValues } from '../options/table.js';
import type { ProgressListener } from '../progress.js';
import type { Log } from './log.js';

/** The context of a command, besides its options. */
interface Context {
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
  readonly log: Log;
  /** One line on stderr that the user has asked for, whatever the log level. */
  readonly tell: (line: string) => void;
  /** The metrics of the run, where somebody watches. */
  readonly metrics: RunMetrics | undefined;
  /** The command line. */
  readonly commandLine: readonly string[];
  /** The origin of each option. */
  readonly origins: Readonly<Record<string, string>>;
  /** The password of a Redis, from the environment. */
  readonly clusterPassword: string | undefined;
}

/** The output of a command on stdout: `json` with --json, otherwise `text`, lines without a final newline. */
interface Printed {
  readonly json: object;
  readonly text: string;
}

export type Run<C extends CommandName> = (values: CommandValues[C], context: Context) => Promise<Printed>;
