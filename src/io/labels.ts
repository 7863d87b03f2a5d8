/** Labels, one integer a node: `.txt` (one a line), `.npy`, or `.npz` (`labels`). −1 means none. */
import { NaanError } from '../errors.js';
import { readInt32 } from './arrays.js';
import { readWindows, wholeFile } from './byte-source.js';
import { findArray, sniffFormat } from './npy.js';
import { writeOutput } from './output-file.js';

const newline = 10;
const carriageReturn = 13;
const space = 32;
const tab = 9;
const minus = 45;
const zero = 48;

/** Reads labels of any integer type. Throws BAD_INPUT, naming the line or element that is no 32-bit integer. */
export async function readLabels(path: string): Promise<Int32Array> {
  if (sniffFormat(path) === 'other') return await readLabelText(path);
  const array = await findArray(path, ['labels']);
  if (array.length !== array.shape[0]) {
    throw new NaanError('BAD_SHAPE', `${array.source.name}: shape (${array.shape}), expected labels [n]`);
  }
  return await readInt32(array);
}

/** Writes one label a line. Throws NOT_WRITABLE. */
export async function writeLabelText(path: string, labels: Int32Array): Promise<void> {
  const longestLine = 12;
  const text = new Uint8Array(2 ** 20);
  await writeOutput(path, async (file) => {
    let end = 0;
    for (let i = 0; i < labels.length; i++) {
      end = putInteger(text, end, labels[i]);
      text[end++] = newline;
      if (end <= text.length - longestLine) continue;
      await file.write(text.subarray(0, end));
      end = 0;
    }
    await file.write(text.subarray(0, end));
  });
}

/** Writes the digits of an int32 at `at` and returns where they end. */
function putInteger(text: Uint8Array, at: number, value: number): number {
  let rest = Math.abs(value);
  if (value < 0) text[at++] = minus;
  let digits = 1;
  for (let bound = 10; rest >= bound; bound *= 10) digits++;
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    text[i] = zero + rest - 10 * tenth;
    rest = tenth;
  }
  return at + digits;
}

/** A line is an integer, blanks around it allowed; blank lines may only follow the last one. */
async function readLabelText(path: string): Promise<Int32Array> {
  let labels = new Int32Array(2 ** 16);
  let count = 0;
  let line = 1;
  let blankLine = 0; // the first one since the last label
  let sign = 1;
  let value = 0;
  let part: 'before' | 'sign' | 'digits' | 'after' = 'before';
  const bad = (found: string) => {
    return new NaanError('BAD_INPUT', `${path}: line ${line}: ${found}, expected one 32-bit integer a line`);
  };
  const endLine = () => {
    if (part === 'sign') throw bad('a sign alone');
    if (part === 'before') {
      if (blankLine === 0) blankLine = line;
    } else {
      if (count === labels.length) labels = enlarged(labels);
      labels[count++] = sign * value;
      if (labels[count - 1] !== sign * value) throw bad(`${sign * value}`);
    }
    line++;
    sign = 1;
    value = 0;
    part = 'before';
  };
  await readWindows(wholeFile(path), 0, 2 ** 22, (window) => {
    for (let i = 0; i < window.length; i++) {
      const byte = window[i];
      const digit = byte - zero;
      if (digit >= 0 && digit <= 9 && part !== 'after') {
        if (blankLine > 0) {
          line = blankLine;
          throw bad('blank');
        }
        part = 'digits';
        value = Math.min(value * 10 + digit, 2 ** 32);
      } else if (byte === newline) {
        endLine();
      } else if (byte === minus && part === 'before') {
        part = 'sign';
        sign = -1;
      } else if (byte === space || byte === tab || byte === carriageReturn) {
        if (part === 'sign') throw bad('a sign alone');
        if (part === 'digits') part = 'after';
      } else {
        throw bad(`found ${JSON.stringify(String.fromCharCode(byte))}`);
      }
    }
  });
  if (part !== 'before') endLine();
  if (count === 0) throw new NaanError('BAD_INPUT', `${path}: has no labels`);
  return labels.slice(0, count);
}

function enlarged(labels: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * labels.length);
  larger.set(labels);
  return larger;
}
