/**
 * Record files as insightface keeps its training sets: train.rec, with train.idx, and often train.lst, beside it. Only places
 * of images are read at first. Framing and headers: see datasets/rec.ts, which writes them.
 */
import { closeSync, existsSync } from 'node:fs';
import { maxImageBytes } from '../datasets/images.js';
import { NaanError } from '../errors.js';
import { inputSize, openInput, readFully } from '../io/input-file.js';
import { quoted } from '../io/messages.js';
import { textRecords } from '../io/text-records.js';

const magic = 0xced7230a;
const magicBytes = Buffer.from([0x0a, 0x23, 0xd7, 0xce]);
const headerBytes = 24;
const longestRecord = maxImageBytes + 2 ** 20;

export interface RecordPlaces {
  /** Key and place in the file of each image, by rising key. */
  readonly keys: Float64Array;
  readonly positions: Float64Array;
}

/** An image file within a record, and the first of its labels. */
export interface ImageRecord {
  readonly label: number;
  readonly bytes: Uint8Array;
}

/**
 * Finds the images of a record file by the index beside it. Record 0 of insightface says where images end and what follows
 * them; without one all records are images. Throws BAD_INPUT.
 */
export async function findRecords(path: string): Promise<RecordPlaces> {
  const indexPath = beside(path, 'idx');
  if (!existsSync(indexPath)) {
    throw new NaanError('BAD_INPUT', `${path}: its index ${indexPath} is missing: MXNet's tools/rec2idx.py makes it`);
  }
  const size = inputSize(path);
  const places: (readonly [key: number, position: number])[] = [];
  await eachLine(indexPath, (line, number) => {
    const [key, position, more] = line.split('\t').map((text) => (/^\d+$/.test(text) ? Number(text) : Number.NaN));
    if (!(key >= 0 && position < size) || more !== undefined) {
      const expected = `expected a key, a tab and a place before byte ${size} of ${path}`;
      throw new NaanError('BAD_INPUT', `${indexPath}: line ${number}: ${quoted(line.slice(0, 60))}, ${expected}`);
    }
    places.push([key, position]);
  });
  places.sort(([a], [b]) => a - b);
  const last = places[0]?.[0] === 0 ? imagesEnd(path, places[0][1]) : undefined;
  const images = last === undefined ? places : places.filter(([key]) => key > 0 && key < last);
  if (images.length === 0) throw new NaanError('BAD_INPUT', `${path}: has no images by ${indexPath}`);
  return {
    keys: Float64Array.from(images, ([key]) => key),
    positions: sharedNumbers(images.map(([, position]) => position)),
  };
}

/** Names of images by their keys, from the list beside the records; undefined where there is none. Throws BAD_INPUT. */
export async function namesOfRecords(path: string): Promise<Map<number, string> | undefined> {
  const listPath = beside(path, 'lst');
  if (!existsSync(listPath)) return undefined;
  const names = new Map<number, string>();
  await eachLine(listPath, (line, number) => {
    // insightface's lists of aligned images have 1, path and label; MXNet's have key, label or labels, and path.
    const fields = line.split('\t');
    const key = Number(fields[0]);
    if (fields.length < 3 || !/^\d+$/.test(fields[0])) {
      const expected = 'expected key, label and path between tabs';
      throw new NaanError('BAD_INPUT', `${listPath}: line ${number}: ${quoted(line.slice(0, 60))}, ${expected}`);
    }
    names.set(key, fields[fields.length - 1]);
  });
  return names;
}

/** Reads the record at a place. Throws Error with the reason where there is none. */
export function readImageRecord(fd: number, path: string, position: number): ImageRecord {
  const { header, bytes } = readRecord(fd, path, position);
  const labels = header.readUInt32LE(0);
  if (4 * labels > bytes.length) throw new Error('its record has no place for its labels');
  const label = labels === 0 ? header.readFloatLE(4) : bytes.readFloatLE(0);
  return { label, bytes: bytes.subarray(4 * labels) };
}

/** The key that follows those of images, which record 0 says when it has labels. */
function imagesEnd(path: string, position: number): number | undefined {
  const fd = openInput(path);
  try {
    const { header, bytes } = readRecord(fd, path, position);
    return header.readUInt32LE(0) > 0 && bytes.length >= 4 ? bytes.readFloatLE(0) : undefined;
  } catch (error) {
    if (error instanceof NaanError) throw error;
    throw new NaanError('BAD_INPUT', `${path}: record 0: ${(error as Error).message}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/** A record that has the magic within comes in several chunks, which it goes between. */
function readRecord(fd: number, path: string, position: number): { header: Buffer; bytes: Buffer } {
  const chunks: Buffer[] = [];
  let total = 0;
  for (let at = position; ; ) {
    const head = Buffer.alloc(8);
    readFully(fd, head, at, path);
    if (head.readUInt32LE(0) !== magic) throw new Error(`there is no record at byte ${at}`);
    const word = head.readUInt32LE(4);
    const [kind, length] = [word >>> 29, word & (2 ** 29 - 1)];
    const isFirst = chunks.length === 0;
    if (isFirst !== (kind === 0 || kind === 1)) throw new Error(`its record is torn at byte ${at}`);
    total += length;
    if (total > longestRecord) throw new Error(`its record is longer than ${longestRecord} bytes`);
    const chunk = Buffer.allocUnsafe(length);
    readFully(fd, chunk, at + 8, path);
    if (!isFirst) chunks.push(magicBytes);
    chunks.push(chunk);
    if (kind === 0 || kind === 3) break;
    at += 8 + length + (-length & 3);
  }
  const record = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  if (record.length < headerBytes) throw new Error('its record is shorter than its header');
  return { header: record.subarray(0, headerBytes), bytes: record.subarray(headerBytes) };
}

function beside(path: string, ending: string): string {
  return path.replace(/\.rec$/i, '') + `.${ending}`;
}

async function eachLine(path: string, visit: (line: string, number: number) => void): Promise<void> {
  for await (const records of textRecords(path, { delimiter: undefined })) {
    for (const { text, line } of records) if (text !== '') visit(text, line);
  }
}

function sharedNumbers(values: readonly number[]): Float64Array {
  const shared = new Float64Array(new SharedArrayBuffer(8 * values.length));
  shared.set(values);
  return shared;
}
