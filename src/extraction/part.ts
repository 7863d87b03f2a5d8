/** A part: some images that lie side by side in the order of the set. What a thread is given, and what is kept of it. */
import { type Stats, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { crc32 } from '../checksum.js';
import { parseJsonObject } from '../io/json.js';
import { writeOutput } from '../io/output-file.js';
import { type ImagePlaces, pathOf } from './images.js';

export const imagesOfPart = 256;

/** The embeddings and failures of the images of a part. */
export interface Part {
  /** Embeddings [rows × dim] of the images that could be read, in order. */
  readonly rows: Float32Array;
  /** The images of the part that could not be read: number in the set, and reason. */
  readonly failed: readonly (readonly [image: number, reason: string])[];
  /** Labels of the rows, where images have some. */
  readonly labels: readonly number[] | undefined;
  /** Images that are not of the size that the model takes. */
  readonly resized: number;
  /** Checksum of the sizes and times of the files, so that a file that has changed is read again. */
  readonly stamp: number;
}

const magic = 'naan part 1\n';
/** Magic, bytes of the text behind it, bytes of the rows, CRC-32 of all but these. */
const headBytes = magic.length + 12;
const maxPartBytes = 2 ** 29;

/** Writes a part whole or not at all. Throws NOT_WRITABLE. */
export async function writePart(path: string, { rows, ...rest }: Part): Promise<void> {
  const text = Buffer.from(JSON.stringify(rest));
  const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
  const head = Buffer.alloc(headBytes);
  head.write(magic, 'latin1');
  head.writeUInt32LE(text.length, magic.length);
  head.writeUInt32LE(bytes.length, magic.length + 4);
  head.writeUInt32LE(crc32(bytes, crc32(text)), magic.length + 8);
  await writeOutput(path, async (file) => {
    for (const piece of [head, text, bytes]) await file.write(piece);
  });
}

/** A part as it was written; undefined where there is none, or it is damaged. */
export async function readPart(path: string, dim: number): Promise<Part | undefined> {
  const stats = statsOf(path);
  if (!stats?.isFile() || stats.size > maxPartBytes) return undefined;
  const content = await readFile(path);
  if (content.length < headBytes || content.toString('latin1', 0, magic.length) !== magic) return undefined;
  const [textLength, rowLength, checksum] = [0, 4, 8].map((at) => content.readUInt32LE(magic.length + at));
  if (content.length !== headBytes + textLength + rowLength || rowLength % (4 * dim) !== 0) return undefined;
  if (crc32(content.subarray(headBytes)) !== checksum) return undefined;
  const part = parseJsonObject(content.toString('utf8', headBytes, headBytes + textLength)) as Omit<Part, 'rows'>;
  const rows = new Float32Array(rowLength / 4);
  new Uint8Array(rows.buffer).set(content.subarray(headBytes + textLength));
  return { ...part, rows };
}

/** The stamp of the files as they are now. Images in a record file have the stamp of that file. */
export function stampOf(places: ImagePlaces, start: number, end: number): number {
  let stamp = 0;
  if (places.kind === 'records') return stamp;
  for (let i = start; i < end; i++) {
    const stats = statsOf(pathOf(places, i));
    stamp = crc32(stats ? `${stats.size} ${stats.mtimeMs}\n` : '-\n', stamp);
  }
  return stamp;
}

/** Undefined for a file that is not there or cannot be looked at, such as one whose name is too long. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
