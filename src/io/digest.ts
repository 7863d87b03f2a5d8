/** What identifies an input file in run.json. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { expandInput, parseInput } from './input-file.js';

const blockBytes = 2 ** 16;
const blocks = 256;

export interface FileDigest {
  /** The path as it was given, with the member of an archive. */
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the size and of 256 blocks of 64 KiB spread evenly; of the whole file when it is no longer than that; of several files, of theirs. */
  readonly sampledSha256: string;
}

/**
 * Digests a file without reading much of it: enough to notice that it is another one. `whole`: all of it, in any case.
 * Other work goes on between blocks.
 */
export async function digestFile(path: string, { whole = false } = {}): Promise<FileDigest> {
  const files = expandInput(path);
  if (files.length > 1) {
    const parts: FileDigest[] = [];
    for (const file of files) parts.push(await digestFile(file, { whole }));
    const hash = createHash('sha256').update(parts.map(({ sampledSha256 }) => `${sampledSha256}\n`).join(''));
    return { path, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0), sampledSha256: hash.digest('hex') };
  }
  const file = await open(parseInput(files[0] ?? path).path, 'r');
  try {
    const bytes = (await file.stat()).size;
    const hash = createHash('sha256').update(`${bytes}\n`);
    const block = new Uint8Array(blockBytes);
    const inAll = Math.ceil(bytes / blockBytes);
    const count = whole ? inAll : Math.min(blocks, inAll);
    for (let i = 0; i < count; i++) {
      const last = Math.max(0, bytes - blockBytes);
      const start = count === inAll ? i * blockBytes : Math.floor((last * i) / (count - 1));
      const { bytesRead } = await file.read(block, 0, blockBytes, start);
      hash.update(block.subarray(0, bytesRead));
    }
    return { path, bytes, sampledSha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

/** Tells the contents of an input, as it was named, from others: a member of an archive too. */
export async function identityOfInput(path: string, options?: { readonly whole?: boolean }): Promise<string> {
  const { sampledSha256 } = await digestFile(path, options);
  const { member } = parseInput(path);
  return member === undefined ? sampledSha256 : `${sampledSha256} ${member}`;
}

/**
 * Tells the state of a file from any that it had before or has later, without reading it: as long as it is the same, so are
 * its bytes. A copy, or a file that was touched, is another state of the same bytes.
 */
export async function fileState(path: string): Promise<string> {
  const files = expandInput(path);
  if (files.length > 1) return (await Promise.all(files.map(fileState))).join(', ');
  const { size, mtimeNs, ctimeNs, ino } = await stat(parseInput(files[0] ?? path).path, { bigint: true });
  return [size, mtimeNs, ctimeNs, ino].join(' ');
}
