/** What identifies an input file in run.json. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const blockBytes = 2 ** 20;
const blocks = 64;

export interface FileDigest {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the size and of 64 blocks of 1 MiB spread evenly; of the whole file when it is no longer than that. */
  readonly sampledSha256: string;
}

/** Digests a file without reading much of it: enough to notice that it is another one. */
export function digestFile(path: string): FileDigest {
  const fd = openSync(path, 'r');
  try {
    const bytes = fstatSync(fd).size;
    const hash = createHash('sha256').update(`${bytes}\n`);
    const block = new Uint8Array(blockBytes);
    const count = Math.min(blocks, Math.ceil(bytes / blockBytes));
    for (let i = 0; i < count; i++) {
      const last = Math.max(0, bytes - blockBytes);
      const start = bytes <= blocks * blockBytes ? i * blockBytes : Math.floor((last * i) / (count - 1));
      hash.update(block.subarray(0, readSync(fd, block, 0, blockBytes, start)));
    }
    return { path, bytes, sampledSha256: hash.digest('hex') };
  } finally {
    closeSync(fd);
  }
}
