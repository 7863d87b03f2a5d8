/**
 * decisions.jsonl: what people have decided of a set, one JSON object a line, only ever appended to (docs/workflow.md). The
 * order of lines means nothing. A crash can tear the last line alone, which then has no line break behind it.
 */
import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { NaanError } from '../errors.js';
import { wholeFile, windows } from './byte-source.js';
import { isObject, parseJson } from './json.js';
import { jsonText, quoted } from './messages.js';
import { writing } from './output-file.js';
import { syncFolder } from './sync-folder.js';

/** A row, by its name or its number from 0. */
export type Item = string | number;

/** What was decided. */
type DecisionContent =
  /** All items are one identity. */
  | { readonly kind: 'same'; readonly items: readonly Item[] }
  /** Each item is another identity than each other one; with `from`, than each of those, and nothing is said among the items. */
  | { readonly kind: 'different'; readonly items: readonly Item[]; readonly from?: readonly Item[] }
  /** All items are the one identity of this name, and no other identity has it. */
  | { readonly kind: 'name'; readonly items: readonly Item[]; readonly name: string }
  /** The decision with this id does not count. */
  | { readonly kind: 'undo'; readonly undoes: string };

export type Decision = DecisionContent & {
  /** No other decision of the file has it. */
  readonly id: string;
  /** ISO 8601, for people. */
  readonly time: string;
};

/** A decision and its line in the file, from 1. */
export type DecisionAt<D extends Decision = Decision> = D & { readonly line: number };

/** Decisions that say something of items. */
export type Statement = Exclude<Decision, { readonly kind: 'undo' }>;

/** A cluster of a million rows that was accepted, by long names. */
const longestLine = 2 ** 28;
const windowBytes = 2 ** 20;
const newline = 10;
const openingBrace = 0x7b;

/**
 * All decisions of a file, those that were taken back among them. Throws BAD_INPUT, naming the line, for what is no decision, and for
 * an id that two of them have. A torn last line is left out with a notice.
 */
export async function readDecisions(
  path: string,
  onNotice?: (message: string) => void,
): Promise<readonly DecisionAt[]> {
  return keepDecisions(path, (decision) => decision, onNotice);
}

/** Decisions of a file, of each what `keep` makes of it: a million take memory. Throws as `readDecisions` does. */
export async function keepDecisions<T extends { readonly line: number }>(
  path: string,
  keep: (decision: DecisionAt) => T,
  onNotice?: (message: string) => void,
): Promise<T[]> {
  const decisions: T[] = [];
  const placeOfId = new Map<string, number>();
  /** First byte and length of the line of each decision. */
  const spans: number[] = [];
  let start = 0;
  const add = (bytes: Buffer, line: number, ended: boolean): void => {
    const first = start;
    start += bytes.length + 1;
    if (!ended && isTorn(bytes)) {
      onNotice?.(`${path}: line ${line} is torn, as a crash leaves it: it does not count`);
      return;
    }
    const text = textOf(bytes, `${path}: line ${line}`);
    if (text === '') return;
    const decision = checked(parseJson(text), text, `${path}: line ${line}`);
    const place = placeOfId.get(decision.id);
    if (place === undefined) {
      placeOfId.set(decision.id, decisions.length);
      spans.push(first, bytes.length);
      decisions.push(keep(Object.assign(decision, { line })));
      return;
    }
    // The same line may stand twice, as where files were joined.
    const known = parseJson(textOf(bytesAt(path, spans[2 * place], spans[2 * place + 1]), path));
    if (JSON.stringify(decision) !== JSON.stringify(known)) {
      const other = decisions[place].line;
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: id ${quoted(decision.id)} is that of line ${other}`);
    }
  };
  let parts: Uint8Array[] = [];
  let length = 0;
  let line = 1;
  for await (const window of windows(wholeFile(path), 0, windowBytes)) {
    let from = 0;
    for (let end = window.indexOf(newline); end >= 0; end = window.indexOf(newline, from)) {
      const rest = Buffer.from(window.buffer, window.byteOffset + from, end - from);
      add(parts.length === 0 ? rest : Buffer.concat([...parts, rest]), line++, true);
      parts = [];
      length = 0;
      from = end + 1;
    }
    // The window is written over.
    parts.push(window.slice(from));
    length += window.length - from;
    if (length > longestLine) {
      throw tooLong(`${path}: line ${line}`);
    }
  }
  add(Buffer.concat(parts), line, false);
  return decisions;
}

/** Bytes of a file, fewer where it has become shorter. */
function bytesAt(path: string, start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, length, start));
  } finally {
    closeSync(fd);
  }
}

/** The decisions that count. */
export function inForce(decisions: readonly DecisionAt[]): readonly DecisionAt<Statement>[] {
  return counted(decisions) as readonly DecisionAt<Statement>[];
}

/** Those that count of decisions of which no more is known than what takes others back. */
export function counted<T extends { readonly id: string; readonly kind: string; readonly undoes?: string | undefined }>(
  decisions: readonly T[],
): T[] {
  const undoneBy = new Map<string, string[]>();
  for (const decision of decisions) {
    if (decision.undoes === undefined || decision.kind !== 'undo') continue;
    const others = undoneBy.get(decision.undoes);
    if (others) others.push(decision.id);
    else undoneBy.set(decision.undoes, [decision.id]);
  }
  // Undos of undos form a tree below each statement, which is walked with an explicit stack.
  const isCounted = (statement: string): boolean => {
    if (!undoneBy.has(statement)) return true;
    const counts = new Map<string, boolean>();
    const stack = [statement];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const undos = undoneBy.get(top) ?? [];
      const open = undos.filter((undo) => !counts.has(undo));
      for (const undo of open) stack.push(undo);
      if (open.length > 0) continue;
      counts.set(top, !undos.some((undo) => counts.get(undo)));
      stack.pop();
    }
    return counts.get(statement)!;
  };
  return decisions.filter(({ kind, id }) => kind !== 'undo' && isCounted(id));
}

/**
 * Appends decisions in one write and sees to it that they reach the disk. What a crash has left of a last line is
 * taken away before. One process at a time. Throws NOT_WRITABLE, and BAD_INPUT for one that would be too long to be read again.
 */
export async function appendDecisions(path: string, decisions: readonly Decision[]): Promise<void> {
  const lines = decisions.map((decision) => Buffer.from(`${JSON.stringify(decision)}\n`));
  const long = lines.find((line) => line.length > longestLine);
  if (long) {
    throw new NaanError('BAD_INPUT', `${path}: a decision of ${long.length} bytes, expected at most ${longestLine}`);
  }
  const text = Buffer.concat(lines);
  await writing(path, () => {
    const isNew = !existsSync(path);
    const fd = openSync(path, 'a+');
    try {
      const mended = mendEnd(fd, path);
      const bytes = mended.length > 0 ? Buffer.concat([mended, text]) : text;
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isNew) syncFolder(dirname(path));
  });
}

/** Cuts off a torn last line; returns the line break that a whole one lacks. Throws BAD_INPUT for a last line that is neither. */
function mendEnd(fd: number, path: string): Buffer {
  const { size } = fstatSync(fd);
  const parts: Buffer[] = [];
  let length = 0;
  for (let start = size, isFound = false; start > 0 && !isFound; ) {
    const count = Math.min(windowBytes, start);
    start -= count;
    const bytes = Buffer.alloc(count);
    readSync(fd, bytes, 0, count, start);
    const end = bytes.lastIndexOf(newline);
    isFound = end >= 0;
    parts.push(bytes.subarray(end + 1));
    length += count - (end + 1);
    if (length > longestLine) throw tooLong(`${path}: its last line`);
  }
  const last = Buffer.concat(parts.reverse());
  if (last.length === 0) return last;
  if (isTorn(last)) {
    ftruncateSync(fd, size - last.length);
    return Buffer.alloc(0);
  }
  const where = `${path}: its last line`;
  const text = textOf(last, where);
  if (text !== '') checked(parseJson(text), text, where);
  return Buffer.from('\n');
}

function tooLong(where: string): NaanError {
  return new NaanError('BAD_INPUT', `${where} has more than ${longestLine} bytes, expected a decision`);
}

/**
 * Whether the bytes of a last line are what a crash leaves of one that was being appended: its beginning, behind which a disk may hold
 * zeros. Anything else without a line break at its end is a line of another program, and not to be passed over or cut off.
 */
function isTorn(bytes: Buffer): boolean {
  const written = bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
  if (written.length === 0) return bytes.length > 0;
  // JSON has control characters as escapes.
  if (written[0] !== openingBrace || written.some((byte) => byte < 0x20)) return false;
  try {
    // A character of several bytes may be cut as well.
    return !isObject(parseJson(new TextDecoder('utf-8', { fatal: true }).decode(written, { stream: true })));
  } catch {
    return false;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The text of a line. Throws BAD_INPUT where its bytes are no UTF-8: other characters in their place would be another name. */
function textOf(bytes: Uint8Array, where: string): string {
  try {
    return utf8.decode(bytes).trim();
  } catch (cause) {
    throw new NaanError('BAD_INPUT', `${where}: its bytes are not utf-8: save the file as UTF-8`, { cause });
  }
}

function checked(value: unknown, line: string, where: string): Decision {
  const bad = (problem: string) => new NaanError('BAD_INPUT', `${where}: ${problem}`);
  if (!isObject(value)) throw bad(`is no JSON object, got ${quoted(line)}, expected a decision`);
  const { id, time, kind, items, from, name, undoes } = value;
  const text = (given: unknown, field: string): void => {
    if (typeof given !== 'string' || given === '') throw bad(`${field}: got ${jsonText(given)}, expected text`);
  };
  const listOf = (given: unknown, field: string, least: number): void => {
    if (!Array.isArray(given) || given.length < least) {
      throw bad(`${field}: got ${jsonText(given)}, expected a list of ${least} or more names or numbers of rows`);
    }
    const wrong = given.find((item) => !isItem(item));
    if (wrong !== undefined) {
      throw bad(`${field}: got ${jsonText(wrong)} in the list, expected the name or the number of a row`);
    }
  };
  text(id, 'id');
  text(time, 'time');
  if (Number.isNaN(Date.parse(time as string))) throw bad(`time: got ${jsonText(time)}, expected a time of ISO 8601`);
  switch (kind) {
    case 'same':
      listOf(items, 'items', 1);
      break;
    case 'different':
      listOf(items, 'items', from === undefined ? 2 : 1);
      if (from !== undefined) listOf(from, 'from', 1);
      break;
    case 'name':
      listOf(items, 'items', 1);
      text(name, 'name');
      break;
    case 'undo':
      text(undoes, 'undoes');
      break;
    default:
      throw bad(`kind: got ${jsonText(kind)}, expected same, different, name or undo`);
  }
  return value as unknown as Decision;
}

function isItem(item: unknown): item is Item {
  return typeof item === 'string' ? item !== '' : Number.isSafeInteger(item) && (item as number) >= 0;
}
