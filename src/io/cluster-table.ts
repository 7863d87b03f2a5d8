/** clusters.csv: a line for each cluster with its size and how sure it is; fields are empty where there are no edges within. */
import { NaanError } from '../errors.js';
import { putInteger, putSixDecimals } from './decimal-text.js';
import { readWhole } from './input-file.js';
import { writeOutput } from './output-file.js';

export const clusterTableName = 'clusters.csv';

const titles = 'cluster,size,cohesion,separation,weakest_join,trust';
const longestLine = 80;
const [newline, comma, minus, dot] = [10, 44, 45, 46];

/** `sizes`: rows of each cluster, 0 for one that is left out; `ids`: its label, by default its place. */
export function clusterTable(
  sizes: Int32Array,
  { cohesion, separation, weakestJoin, trust }: Pick<ClusterTable, 'cohesion' | 'separation' | 'weakestJoin' | 'trust'>,
  ids: Int32Array = Int32Array.from(sizes, (_, c) => c),
): ClusterTable {
  if (!sizes.includes(0)) return { ids, sizes, cohesion, separation, weakestJoin, trust };
  const isThere = (_: number, c: number) => sizes[c] > 0;
  return {
    ids: ids.filter(isThere),
    sizes: sizes.filter(isThere),
    cohesion: cohesion.filter(isThere),
    separation: separation.filter(isThere),
    weakestJoin: weakestJoin.filter(isThere),
    trust: trust.filter(isThere),
  };
}

/** Throws NOT_WRITABLE. */
export async function writeClusterTable(path: string, table: ClusterTable): Promise<void> {
  const { ids, sizes, cohesion, separation, weakestJoin, trust } = table;
  const columns = [cohesion, separation, weakestJoin, trust];
  const text = new Uint8Array(2 ** 16);
  let end = 0;
  const score = (value: number) => {
    text[end++] = comma;
    if (!Number.isNaN(value)) end = putSixDecimals(text, end, value);
  };
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from(`${titles}\n`));
    for (let c = 0; c < ids.length; c++) {
      end = putInteger(text, end, ids[c]);
      text[end++] = comma;
      end = putInteger(text, end, sizes[c]);
      for (const scores of columns) score(scores[c]);
      text[end++] = newline;
      if (end <= text.length - longestLine) continue;
      await file.write(text.subarray(0, end));
      end = 0;
    }
    await file.write(text.subarray(0, end));
  });
}

/** clusters.csv as columns, in the order of its lines, which is that of the clusters' first rows; NaN for an empty field. */
export interface ClusterTable {
  readonly ids: Int32Array;
  readonly sizes: Int32Array;
  readonly cohesion: Float32Array;
  readonly separation: Float32Array;
  readonly weakestJoin: Float32Array;
  readonly trust: Float32Array;
}

/** Reads what `writeClusterTable` wrote. Throws BAD_INPUT with the line for anything else. */
export async function readClusterTable(path: string): Promise<ClusterTable> {
  const bytes = await readWhole(path);
  const head = bytes.indexOf(newline);
  if (bytes.toString('latin1', 0, Math.max(0, head)) !== titles) {
    throw new NaanError(
      'BAD_INPUT',
      `${path}: line 1: is no title of a table of clusters, expected what naan label writes`,
    );
  }
  let count = 0;
  for (let at = bytes.indexOf(newline, head + 1); at >= 0; at = bytes.indexOf(newline, at + 1)) count++;
  const ids = new Int32Array(count);
  const sizes = new Int32Array(count);
  const [cohesion, separation, weakestJoin, trust] = [0, 1, 2, 3].map(() => new Float32Array(count));
  const fields = new Float64Array(6);
  let at = head + 1;
  for (let c = 0; c < count; c++) {
    at = readFields(bytes, at, fields);
    if (at < 0 || !(fields[1] > 0)) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${c + 2}: is no line of a table of clusters, expected cluster,size and four scores`,
      );
    }
    ids[c] = fields[0];
    sizes[c] = fields[1];
    cohesion[c] = fields[2];
    separation[c] = fields[3];
    weakestJoin[c] = fields[4];
    trust[c] = fields[5];
  }
  return { ids, sizes, cohesion, separation, weakestJoin, trust };
}

/** Reads the numbers of a line from `start` on, NaN for an empty field; returns where the next line starts, −1 for a line of anything else. */
function readFields(bytes: Uint8Array, start: number, fields: Float64Array): number {
  let at = start;
  for (let field = 0; field < fields.length; field++) {
    const first = at;
    const isNegative = bytes[at] === minus;
    if (isNegative) at++;
    let value = 0;
    for (; bytes[at] >= 48 && bytes[at] <= 57; at++) value = 10 * value + bytes[at] - 48;
    if (bytes[at] === dot) {
      let scale = 1;
      for (at++; bytes[at] >= 48 && bytes[at] <= 57; at++, scale *= 10) value = 10 * value + bytes[at] - 48;
      value /= scale;
    }
    if (bytes[at] !== (field < fields.length - 1 ? comma : newline)) return -1;
    fields[field] = at === first ? Number.NaN : isNegative ? -value : value;
    at++;
  }
  return at;
}

/** Throws BAD_INPUT unless a table is of these clusters, given by label and size in the order of their first rows; `labels` names them. */
export function checkClusterTable(
  { ids, sizes }: ClusterTable,
  path: string,
  clusters: { readonly ids: Int32Array; readonly sizes: Int32Array },
  labels: string,
): void {
  const isOfThem =
    ids.length === clusters.ids.length &&
    clusters.ids.every((id, c) => ids[c] === id && sizes[c] === clusters.sizes[c]);
  if (isOfThem) return;
  throw new NaanError('BAD_INPUT', `${path}: is of other labels than ${labels}: run naan label again`);
}
