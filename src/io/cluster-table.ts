/** clusters.csv: a line for each cluster with its size and how sure it is; fields are empty where there are no edges within. */
import type { Trust } from '../cluster/trust.js';
import { writeOutput } from './output-file.js';

export const clusterTableName = 'clusters.csv';

const linesAtOnce = 4096;

/** `sizes`: rows of each cluster; `ids`: its label, by default its place. Throws NOT_WRITABLE. */
export async function writeClusterTable(
  path: string,
  sizes: Int32Array,
  trust: Omit<Trust, 'margins'>,
  ids?: Int32Array,
): Promise<void> {
  const { cohesion, separation, weakestJoin } = trust;
  const field = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(6));
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from('cluster,size,cohesion,separation,weakest_join\n'));
    for (let first = 0; first < sizes.length; first += linesAtOnce) {
      let text = '';
      for (let c = first; c < Math.min(sizes.length, first + linesAtOnce); c++) {
        text += `${ids ? ids[c] : c},${sizes[c]},${field(cohesion[c])},${field(separation[c])},${field(weakestJoin[c])}\n`;
      }
      await file.write(Buffer.from(text));
    }
  });
}
