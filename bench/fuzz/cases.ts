/** One case: a file made from seed, reader and number alone, read as commands read it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NaanError } from '../../src/errors.js';
import { RandomStream } from '../../src/graph/random.js';
import { tableProcess } from '../../src/io/table-process.js';
import { damaged, oneOf } from './mutations.js';
import type { Reader } from './readers.js';

export interface Tally {
  tried: number;
  refused: number;
  read: number;
  slow: number;
  large: number;
  raw: number;
}

export interface Finding {
  readonly reader: string;
  readonly number: number;
  readonly what: string;
}

export function emptyTally(): Tally {
  return { tried: 0, refused: 0, read: 0, slow: 0, large: 0, raw: 0 };
}

/** Seconds of processor time, so that a machine with other work finds no more than an idle one. */
const slowSeconds = 2;
/**
 * What reading a file may add to the memory of the process: windows of some MiB, 64 MiB that arrays take without asking,
 * and 64 bytes for each byte of the file, as a byte of JSON or of a pickle may become an object.
 */
function mostBytes(fileBytes: number): number {
  return 160 * 2 ** 20 + 64 * fileBytes;
}
const longestMessage = 2000;

/** A file over which a library does not come to an end: the process that decodes it is stopped, and the file is refused. */
export const stopped = 'is refused once the process that decodes it is stopped';

export function fileOf(
  reader: Reader,
  seed: number,
  number: number,
): { bytes: Buffer; read: (path: string) => Promise<unknown> } {
  const purpose = [...reader.name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) >>> 0, 7);
  const random = new RandomStream(seed, purpose, number);
  const chosen = oneOf(random, reader.seeds);
  const other = oneOf(random, reader.seeds).whole;
  const bytes = random.below(2) === 0 ? damaged(random, chosen.whole, other) : chosen.structural(random);
  return { bytes, read: chosen.read };
}

/** Reads the cases [from, to) of a reader and counts what comes of them. `folder` is made, and gone in the end. */
export async function tryCases(
  reader: Reader,
  { seed, from, to, folder }: { seed: number; from: number; to: number; folder: string },
  tally: Tally,
  onFinding: (finding: Finding) => void,
  onCase: (number: number) => void = () => {},
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, reader.fileName);
  try {
    for (let number = from; number < to; number++) {
      onCase(number);
      const found = (what: string) => onFinding({ reader: reader.name, number, what });
      const { bytes, read } = fileOf(reader, seed, number);
      writeFileSync(path, bytes);
      const before = await used(reader);
      tally.tried++;
      try {
        await read(path);
        tally.read++;
      } catch (error) {
        const fault = faultOf(error);
        const { message } = error as Error;
        if (message.includes(' was not decoded within ')) {
          tally.slow++;
          found(stopped);
        }
        if (message.includes('the process that decodes it ended')) {
          tally.large++;
          found(message);
        }
        if (fault === undefined) {
          tally.refused++;
        } else {
          tally.raw++;
          found(fault);
        }
      }
      const after = await used(reader);
      // A process that ended over the file is counted by that; the one that was started after it has used nothing for it.
      const ended = after.pid !== before.pid;
      const seconds = after.seconds - before.seconds + (ended ? 0 : after.tableSeconds - before.tableSeconds);
      if (seconds > slowSeconds) {
        tally.slow++;
        found(`takes ${seconds.toFixed(1)} s`);
      }
      const grown = after.peak - before.peak + (ended ? 0 : after.tablePeak - before.tablePeak);
      if (grown > mostBytes(bytes.length)) {
        tally.large++;
        found(`takes ${(grown / 2 ** 20).toFixed(0)} MiB for ${bytes.length} bytes`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Used {
  readonly seconds: number;
  readonly peak: number;
  /** The process that decodes tables, where the reader asks it. */
  readonly pid?: number;
  readonly tableSeconds: number;
  readonly tablePeak: number;
}

/** Processor time and largest memory so far, of this process and of the one that decodes tables. */
async function used({ inTableProcess = false }: Reader): Promise<Used> {
  const { user, system } = process.cpuUsage();
  const seconds = (user + system) / 1e6;
  const peak = process.resourceUsage().maxRSS * 1024;
  // Only Linux tells of other processes.
  if (!inTableProcess || process.platform !== 'linux') return { seconds, peak, tableSeconds: 0, tablePeak: 0 };
  const pid = await tableProcess();
  // Behind the name of the program, which may hold blanks: fields 14 and 15, in hundredths of a second.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const kib = Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return { seconds, peak, pid, tableSeconds: ticks / 100, tablePeak: kib * 1024 };
}

/** What is wrong with how a file was refused; undefined for one line of naan's own. */
function faultOf(error: unknown): string | undefined {
  if (!(error instanceof NaanError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  const { message } = error;
  if (/[\n\r\0]/.test(message)) return `more than one line: ${JSON.stringify(message)}`;
  return message.length > longestMessage
    ? `a message of ${message.length} characters: ${message.slice(0, 200)}`
    : undefined;
}
