/** One case: a file made from seed, reader and number alone, read as commands read it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NaanError } from '../../src/errors.js';
import { RandomStream } from '../../src/graph/random.js';
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
      const before = { cpu: process.cpuUsage(), peak: process.resourceUsage().maxRSS };
      tally.tried++;
      try {
        await read(path);
        tally.read++;
      } catch (error) {
        const fault = faultOf(error);
        if (fault === undefined) {
          tally.refused++;
        } else {
          tally.raw++;
          found(fault);
        }
      }
      const { user, system } = process.cpuUsage(before.cpu);
      const seconds = (user + system) / 1e6;
      if (seconds > slowSeconds) {
        tally.slow++;
        found(`takes ${seconds.toFixed(1)} s`);
      }
      const grown = (process.resourceUsage().maxRSS - before.peak) * 1024;
      if (grown > mostBytes(bytes.length)) {
        tally.large++;
        found(`takes ${(grown / 2 ** 20).toFixed(0)} MiB for ${bytes.length} bytes`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
