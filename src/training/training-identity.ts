/**
 * The identity of the set that a training run learns from, by its content: the same set is the same under another name, in another folder, as
 * another link, or in memory.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync } from 'node:fs';
import type { Truth } from '../cluster/truth.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { openInput, readFully } from '../io/input-file.js';
import type { MatrixLocation } from '../io/matrix.js';
import { itemBytes } from '../io/numbers.js';

const windowBytes = 2 ** 22;

/** Reads the features once. Throws BAD_INPUT. */
export function identityOf(
  features: MatrixLocation,
  graph: KnnGraph,
  { labels, differences }: Truth,
): Record<string, string> {
  return {
    features: digest((hash) => updateWithMatrix(hash, features)),
    knn: digest((hash) => hash.update(`${graph.nodeCount} × ${graph.width}\n`).update(bytesOf(graph.ids))),
    labels: digest((hash) => hash.update(bytesOf(labels))),
    ...(differences && {
      decisions: digest((hash) => {
        const { offsets, tags, setOf } = differences;
        for (const numbers of [offsets, tags, setOf]) hash.update(`${numbers.length}\n`).update(bytesOf(numbers));
      }),
    }),
  };
}

/** 128 bits, enough to tell sets apart and short enough for a message. */
function digest(fill: (hash: Hash) => void): string {
  const hash = createHash('sha256');
  fill(hash);
  return `sha256 ${hash.digest('hex').slice(0, 32)}`;
}

function updateWithMatrix(hash: Hash, location: MatrixLocation): void {
  if (location.kind === 'memory') {
    const { rowCount, dim, windows } = location.rows;
    hash.update(`${rowCount} × ${dim}\n`);
    for (const window of windows) hash.update(new Uint8Array(window));
    return;
  }
  if (location.kind === 'some') {
    updateWithMatrix(hash, location.of);
    hash.update(bytesOf(location.rows));
    return;
  }
  const { path, name, offset, rowCount, dim, type, littleEndian, fortran, dimBeforeRow } = location;
  hash.update(`${rowCount} × ${dim} ${type} ${littleEndian} ${fortran}\n`);
  const bytes = rowCount * (dim * itemBytes(type) + (dimBeforeRow ? 4 : 0));
  const window = new Uint8Array(Math.min(windowBytes, bytes));
  const fd = openInput(path);
  try {
    for (let done = 0; done < bytes; done += window.length) {
      const part = window.subarray(0, Math.min(window.length, bytes - done));
      readFully(fd, part, offset + done, name);
      hash.update(part);
    }
  } finally {
    closeSync(fd);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
