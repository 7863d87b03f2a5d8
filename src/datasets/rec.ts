/**
 * Record files as insightface trains ArcFace from them: train.rec, train.idx and train.lst. A record is an image file as
 * it is, behind its label; record 0 says which keys are images and which, behind them, say the images of each identity.
 * Framing: dmlc-core's RecordIO; headers: mxnet.recordio.IRHeader; keys: insightface's face2rec2.py.
 */
import { NaanError } from '../errors.js';
import type { DatasetWriter, Destination, Part } from './dataset.js';
import { type HashedFile, writeHashed, writeLines } from './hashed-file.js';
import { encodedImages } from './images.js';
import { writeLst } from './lists.js';

const magic = Buffer.from([0x0a, 0x23, 0xd7, 0xce]);
/** Labels and keys are float32 in headers. */
const largestExact = 2 ** 24;
const longestChunk = 2 ** 29 - 1;

export const rec: DatasetWriter = {
  name: 'rec',
  async write(part, destination) {
    const { name, count, identities, firstLabel } = part;
    if (Math.max(count + identities + 1, firstLabel + identities) > largestExact) {
      const got = `${count} images and ${identities} identities from label ${firstLabel} on`;
      throw new NaanError(
        'BAD_USAGE',
        `${name}.rec: ${got}: its float32 headers count to ${largestExact}: export as lst or webdataset`,
      );
    }
    const positions = new Float64Array(count + identities + 1);
    await writeHashed(destination, `${name}.rec`, (file) => writeRecords(part, destination, file, positions));
    await writeLines(destination, `${name}.idx`, positions.length, (key) => `${key}\t${positions[key]}\n`);
    await writeLst(part, { ...destination, advance: async () => {} }, 1);
  },
};

async function writeRecords(part: Part, destination: Destination, file: HashedFile, positions: Float64Array) {
  const { count, identities, labels } = part;
  const add = async (key: number, record: Buffer) => {
    positions[key] = file.length;
    for (const piece of framed(record)) await file.write(piece);
  };
  await add(0, rangeHeader(0, count + 1, count + 1 + identities));
  let i = 0;
  for await (const { bytes } of encodedImages(part, (place) => place)) {
    await add(i + 1, Buffer.concat([imageHeader(i + 1, labels[i]), bytes]));
    i++;
    if (i % 64 === 0 || i === count) await destination.advance(part, i);
  }
  for (let identity = 0, start = 0; identity < identities; identity++) {
    let end = start;
    while (end < count && labels[end] === labels[start]) end++;
    await add(count + 1 + identity, rangeHeader(count + 1 + identity, start + 1, end + 1));
    start = end;
  }
}

/** flag 0 (one label), label, key, second key. */
export function imageHeader(key: number, label: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeFloatLE(label, 4);
  header.writeBigUInt64LE(BigInt(key), 8);
  return header;
}

/** flag 2 (two labels behind the header): keys [first, end). */
export function rangeHeader(key: number, first: number, end: number): Buffer {
  const header = Buffer.alloc(32);
  header.writeUInt32LE(2, 0);
  header.writeBigUInt64LE(BigInt(key), 8);
  header.writeFloatLE(first, 24);
  header.writeFloatLE(end, 28);
  return header;
}

/**
 * A record as RecordIO frames it: the magic, its length, its bytes, zeros up to a multiple of four. Where the magic occurs in
 * the bytes at a multiple of four, it is left out and the record goes on in another chunk: 1 is the first, 2 a middle one, 3
 * the last, 0 a record of one.
 */
export function framed(record: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  let start = 0;
  for (let at = record.indexOf(magic); at >= 0; at = record.indexOf(magic, at + 1)) {
    if (at % 4 !== 0 || at < start) continue;
    chunks.push(record.subarray(start, at));
    start = at + 4;
  }
  chunks.push(record.subarray(start));
  return chunks.flatMap((chunk, i) => {
    if (chunk.length > longestChunk) throw new NaanError('BAD_INPUT', `an image of ${chunk.length} bytes is no record`);
    const kind = chunks.length === 1 ? 0 : i === 0 ? 1 : i < chunks.length - 1 ? 2 : 3;
    const head = Buffer.concat([magic, Buffer.alloc(4)]);
    head.writeUInt32LE(kind * 2 ** 29 + chunk.length, 4);
    return [head, chunk, Buffer.alloc(-chunk.length & 3)];
  });
}
