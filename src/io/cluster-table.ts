/** clusters.csv: a line for each cluster with its size and how sure it is; fields are empty where there are no edges within. */
import { NaanError } from '../errors.js';
import { readWhole } from './input-file.js';
import { writeOutput } from './output-file.js';

export const clusterTableName = 'clusters.csv';

const titles = 'cluster,size,cohesion,separation,weakest_join,trust';
const linesAtOnce = 4096;
const [newline, comma, minus, dot] = [10, 44, 45, 46];

/** `sizes`: rows of each cluster, 0 for one that is left out; `ids`: its label, by default its place. Throws NOT_WRITABLE. */
export async function writeClusterTable(
  path: string,
  sizes: Int32Array,
  trust: Pick<ClusterTable, 'cohesion' | 'separation' | 'weakestJoin' | 'trust'>,
  ids?: Int32Array,
): Promise<void> {
  const { cohesion, separation, weakestJoin, trust: sure } = trust;
  const field = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(6));
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from(`${titles}\n`));
    for (let first = 0; first < sizes.length; first += linesAtOnce) {
      let text = '';
      for (let c = first; c < Math.min(sizes.length, first + linesAtOnce); c++) {
        if (sizes[c] === 0) continue;
        text += `${ids ? ids[c] : c},${sizes[c]},${field(cohesion[c])},${field(separation[c])},${field(weakestJoin[c])},${field(sure[c])}\n`;
      }
      await file.write(Buffer.from(text));
    }
  });
}

/** clusters.csv as columns, in the order of its lines; NaN for an empty field. */
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
      `${path}: line 1: is no title of a table of clusters, expected what naan label --trust writes`,
    );
  }
  let count = 0;
  for (let at = bytes.indexOf(newline, head + 1); at >= 0; at = bytes.indexOf(newline, at + 1)) count++;
  const ids = new Int32Array(count);
  const sizes = new Int32Array(count);
  const [cohesion, separation, weakestJoin, trust] = [0, 1, 2, 3].map(() => new Float32Array(count));
  let at = head + 1;
  const field = (): number => {
    const start = at;
    let sign = 1;
    let value = 0;
    let scale = 0;
    for (; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte >= 48 && byte <= 57) {
        value = 10 * value + byte - 48;
        scale *= 10;
      } else if (byte === dot && scale === 0) scale = 1;
      else if (byte === minus && at === start) sign = -1;
      else break;
    }
    const result = at === start ? Number.NaN : (sign * value) / (scale || 1);
    if (bytes[at] === comma) at++;
    else if (bytes[at] !== newline) return Number.POSITIVE_INFINITY;
    return result;
  };
  for (let c = 0; c < count; c++) {
    ids[c] = field();
    sizes[c] = field();
    cohesion[c] = field();
    separation[c] = field();
    weakestJoin[c] = field();
    trust[c] = field();
    const scores = [cohesion[c], separation[c], weakestJoin[c], trust[c]];
    const isWhole = sizes[c] > 0 && scores.every((x) => x !== Number.POSITIVE_INFINITY);
    const end = bytes.indexOf(newline, at);
    if (!isWhole || end < 0) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${c + 2}: is no line of a table of clusters, expected cluster,size and four scores`,
      );
    }
    at = end + 1;
  }
  return { ids, sizes, cohesion, separation, weakestJoin, trust };
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
  throw new NaanError('BAD_INPUT', `${path}: is of other labels than ${labels}: run naan label --trust again`);
}
