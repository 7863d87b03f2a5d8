/** Image files of a set, read as they are: nothing is decoded. */
import { NaanError } from '../errors.js';
import { inputSize, readWhole, unreadable } from '../io/input-file.js';
import { quoted } from '../io/messages.js';
import type { Part } from './dataset.js';

/** Files that are asked for before they are needed, as most of the time goes into waiting for a disk. */
const readAhead = 16;
/** The most bytes of an image file. A photograph of a crowd, without any compression, has fewer. */
export const maxImageBytes = 2 ** 27;

export interface EncodedImage {
  readonly bytes: Buffer;
  /** The type of the image by its first bytes: `jpg`, `png` … */
  readonly type: string;
}

/** Bytes of the images of a part in an order. Throws BAD_INPUT for a file that is missing or no image. */
export async function* encodedImages(part: Part, order: (i: number) => number): AsyncGenerator<EncodedImage> {
  const waiting: Promise<EncodedImage>[] = [];
  for (let next = 0, i = 0; i < part.count; i++) {
    for (; next < part.count && next < i + readAhead; next++) {
      const reading = readImage(part, order(next));
      reading.catch(() => {}); // it is awaited in its turn
      waiting.push(reading);
    }
    yield await waiting.shift()!;
  }
}

async function readImage(part: Part, i: number): Promise<EncodedImage> {
  const path = part.file(i);
  let bytes: Buffer;
  try {
    bytes = await readWhole(path, maxImageBytes);
  } catch (error) {
    throw missing(part, i, error);
  }
  const type = imageType(bytes);
  if (type !== undefined) return { bytes, type };
  throw new NaanError('BAD_INPUT', `${path}: is no image by its first bytes, expected JPEG, PNG, WebP, GIF or BMP`);
}

/** Throws BAD_INPUT unless there is a file for image i. */
export function checkImage(part: Part, i: number): void {
  try {
    inputSize(part.file(i));
  } catch (error) {
    throw missing(part, i, error);
  }
}

function missing(part: Part, i: number, error: unknown): unknown {
  if (part.item(i).includes('\0')) {
    return new NaanError('BAD_INPUT', `item ${quoted(part.item(i))}: has a zero byte in it, so no file has its name`);
  }
  const known = unreadable(part.file(i), error);
  if (!(known instanceof NaanError)) return known;
  const advice = `it is item ${quoted(part.item(i))}: --root says where items lie`;
  return new NaanError('BAD_INPUT', `${known.message}: ${advice}`, { cause: error });
}

const starts: readonly (readonly [type: string, start: string, at: number])[] = [
  ['jpg', '\xff\xd8\xff', 0],
  ['png', '\x89PNG\r\n\x1a\n', 0],
  ['webp', 'WEBP', 8],
  ['gif', 'GIF8', 0],
  ['bmp', 'BM', 0],
];

/** The type of an image by its first 16 bytes. */
export function imageType(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 16);
  return starts.find(([, start, at]) => head.startsWith(start, at))?.[0];
}
