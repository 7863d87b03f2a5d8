/** Labels may be any names. What computes with them sees int32 codes; messages and files get the names back. */
import { NaanError } from '../errors.js';
import { quoted } from './messages.js';

export interface Labels {
  /** One a row [n]: equal exactly where the labels are; −1 where there is none. */
  readonly codes: Int32Array;
  /** The label of each code as it was given; absent where labels are 32-bit integers, which are their own codes. */
  readonly names?: readonly string[];
}

/** A label as it was given. */
export function nameOf({ names }: Labels, code: number): string {
  return code === -1 || names === undefined ? String(code) : names[code];
}

/** The capacity of a Map of V8; labels that are 32-bit integers are not kept by name. */
const maxNames = 2 ** 24 - 1;

const integer = /^[+-]?\d+$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const missing = /^[+-]?(nan|inf(inity)?)$/i;

/** Whether a label reads as a number, be it one that cannot be a label. */
export function isNumeric(label: string): boolean {
  return decimal.test(label) || missing.test(label);
}

/**
 * Gathers labels row by row and gives each its code. If all labels are numbers they are compared as whole numbers of any
 * size, otherwise as text. `-1` is no label.
 */
export class LabelGatherer {
  private codes = new Int32Array(2 ** 16);
  private count = 0;
  private readonly known = new Map<string, number>();
  private readonly names: string[] = [];
  private readonly firstRows: number[] = [];
  private firstRecurs = false;

  /** `where` says in messages where a row is, such as `labels.txt: line 3`. */
  constructor(private readonly where: (row: number) => string) {}

  /** Takes the label of the next row, which is `row` in messages. */
  add(label: string, row: number): void {
    let code = this.known.get(label);
    if (code === undefined) {
      if (label === '') throw new NaanError('BAD_INPUT', `${this.where(row)}: has no label, ${expected}`);
      code = this.names.length;
      if (code === maxNames) {
        const most = `more than ${maxNames} different names: save labels as 32-bit integers`;
        throw new NaanError('BAD_INPUT', `${this.where(row)}: ${most}`);
      }
      // A slice of a longer text would keep all of it in memory.
      const name = Buffer.from(label).toString();
      this.known.set(name, code);
      this.names.push(name);
      this.firstRows.push(row);
    } else if (code === 0) {
      this.firstRecurs = true;
    }
    if (this.count === this.codes.length) this.codes = enlarged(this.codes);
    this.codes[this.count++] = code;
  }

  /** `isHeader` is asked about the first label, when it occurs once: whether it is a title, given the other labels. */
  finish(isHeader: (first: string, others: readonly string[]) => boolean = () => false): Labels {
    const { names, firstRows } = this;
    const skipped = names.length > 0 && !this.firstRecurs && isHeader(names[0], names.slice(1)) ? 1 : 0;
    const codes = this.codes.slice(skipped, this.count);
    const kept = names.slice(skipped);
    const numeric = kept.every(isNumeric);
    // The text by which each name is compared.
    const keys = numeric ? kept.map((name, i) => this.wholeNumber(name, firstRows[i + skipped])) : kept;
    if (numeric && keys.every((key, i) => isInt32(key) && (key === kept[i] || !integer.test(kept[i])))) {
      const values = Int32Array.from(keys, Number);
      return { codes: codes.map((code) => values[code - skipped]) };
    }
    const codeOfKey = new Map<string, number>();
    const given: string[] = [];
    const newCodes = Int32Array.from(keys, (key, i) => {
      if (key === '-1') return -1;
      let code = codeOfKey.get(key);
      if (code === undefined) {
        code = given.length;
        codeOfKey.set(key, code);
        given.push(integer.test(kept[i]) || !numeric ? kept[i] : key);
      }
      return code;
    });
    return { codes: codes.map((code) => newCodes[code - skipped]), names: given };
  }

  /** The number in its shortest form. Throws BAD_INPUT when it is not whole, or a float too large to be exact. */
  private wholeNumber(name: string, row: number): string {
    if (integer.test(name)) return BigInt(name.replace(/^\+/, '')).toString();
    const value = Number(name);
    const bad = (what: string) => new NaanError('BAD_INPUT', `${this.where(row)}: ${quoted(name)} ${what}`);
    if (missing.test(name)) throw bad(`is no label, ${expected}`);
    if (!Number.isInteger(value)) throw bad(`is no whole number, ${expected}`);
    if (!Number.isSafeInteger(value)) {
      throw bad('is too large for a float to tell it from its neighbours: save the labels as integers or text');
    }
    return String(value === 0 ? 0 : value);
  }
}

const expected = 'expected a label, or -1 for none';

function isInt32(key: string): boolean {
  const value = Number(key);
  return value === (value | 0);
}

function enlarged(codes: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * codes.length);
  larger.set(codes);
  return larger;
}
