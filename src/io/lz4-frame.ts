/**
 * Decompresses LZ4 frames, as Arrow stores its buffers in. Checksums are skipped, for there is none over what Arrow stores otherwise.
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, lz4_Block_format.md
 */
const magic = 0x184d2204;
const storedBlock = 0x8000_0000;

/** Throws where the frame is damaged, or does not hold `length` bytes. */
export function decompressLz4Frame(input: Uint8Array, length: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (view.getUint32(0, true) !== magic) throw new Error('a buffer is no LZ4 frame');
  const flags = view.getUint8(4);
  const [hasBlockChecksum, hasSize, hasDictionary] = [flags & 16, flags & 8, flags & 1];
  let at = 7 + (hasSize ? 8 : 0) + (hasDictionary ? 4 : 0);
  const output = new Uint8Array(length);
  let filled = 0;
  for (;;) {
    const header = view.getUint32(at, true);
    at += 4;
    if (header === 0) break;
    const size = header & ~storedBlock;
    if (at + size > input.length) throw new Error('an LZ4 frame is cut off');
    const block = input.subarray(at, at + size);
    if (header >= storedBlock) {
      output.set(block, filled); // throws where there is no room
      filled += size;
    } else {
      filled = decompressBlock(block, output, filled);
    }
    at += size + (hasBlockChecksum ? 4 : 0);
  }
  if (filled !== length) throw new Error(`an LZ4 frame holds ${filled} bytes, expected ${length}`);
  return output;
}

/** Appends a block, which may copy from those before it; returns how much is filled then. */
function decompressBlock(input: Uint8Array, output: Uint8Array, start: number): number {
  let filled = start;
  let at = 0;
  const lengthFrom = (begun: number) => {
    let length = begun;
    if (begun < 15) return length;
    for (let more = 255; more === 255; length += more) more = input[at++] ?? Number.NaN;
    return length;
  };
  while (at < input.length) {
    const token = input[at++];
    const literals = lengthFrom(token >> 4);
    if (!(at + literals <= input.length && filled + literals <= output.length))
      throw new Error('an LZ4 block is damaged');
    output.set(input.subarray(at, at + literals), filled);
    at += literals;
    filled += literals;
    if (at === input.length) break; // the last sequence has literals alone
    const distance = input[at] | (input[at + 1] << 8);
    at += 2;
    const end = filled + lengthFrom(token & 15) + 4;
    if (!(distance > 0 && distance <= filled && end <= output.length)) throw new Error('an LZ4 block is damaged');
    if (distance >= end - filled) {
      output.copyWithin(filled, filled - distance, end - distance);
      filled = end;
    }
    for (; filled < end; filled++) output[filled] = output[filled - distance];
  }
  return filled;
}
