/** CRC-32 as zlib and ZIP archives have it. */
import { crc32 as ofBytes } from 'node:zlib';

/** Goes on from the checksum of what came before. Node's own forgets that for some buffers without bytes. */
export function crc32(bytes: Uint8Array | string, before = 0): number {
  return bytes.length === 0 ? before : ofBytes(bytes, before);
}
