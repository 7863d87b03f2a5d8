/** An earlier labelling, whose identities a new one keeps: what naan label wrote to a folder. */
import { join } from 'node:path';
import type { Change, Earlier } from '../cluster/identities.js';
import { clustersOf } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import type { Items } from '../io/item-list.js';
import { openItems, readItems } from '../io/items.js';
import { labelTableName } from '../io/label-table.js';
import { readLabels } from '../io/labels.js';
import { jsonText } from '../io/messages.js';
import { writeOutput } from '../io/output-file.js';
import { readRecord, readRun, recordName } from '../io/output-record.js';
import { TextIndex } from '../io/text-list.js';

export interface PreviousRun {
  /** Its labels: the identity of each of its rows, −1 for none. */
  readonly labels: Int32Array;
  /** Names of its rows, where it has them. */
  readonly items: Items | undefined;
  /** The highest identity there has ever been. */
  readonly highest: number;
}

/**
 * The files of a run that are read of it: `table` where it was written, whether or not it is there still, as rows taken by their numbers
 * in place of lost names would be other rows. Throws BAD_INPUT where the folder holds no run.
 */
export function filesOfRun(folder: string): { readonly labels: string; readonly table: string | undefined } {
  const names = readRecord(folder).outputs.map(({ name }) => name);
  const labels = names.find((name) => name.endsWith('_labels.npy'));
  if (labels === undefined) {
    throw new NaanError('BAD_INPUT', `${folder}: has no ${recordName} of naan label, expected the --out of a run`);
  }
  const table = names.includes(labelTableName) ? join(folder, labelTableName) : undefined;
  return { labels: join(folder, labels), table };
}

export async function readPreviousRun(folder: string): Promise<PreviousRun> {
  const files = filesOfRun(folder);
  const { codes } = await readLabels(files.labels);
  const known = readRun(folder)?.highestIdentity ?? -1;
  if (typeof known !== 'number' || (known | 0) !== known || known < -1) {
    const got = `highestIdentity: got ${jsonText(known)}, which naan label does not write`;
    throw new NaanError('BAD_INPUT', `${join(folder, recordName)}: ${got}`);
  }
  const highest = codes.reduce((most, label) => Math.max(most, label), known);
  const items = files.table === undefined ? undefined : await openItems(files.table);
  return { labels: codes, items, highest };
}

/** The rows of a new labelling that were in an earlier one. */
export interface EarlierRows {
  readonly earlier: Earlier;
  /** Cluster of each row in the earlier labelling, −1 for none [n]. */
  readonly before: Int32Array;
}

/**
 * Rows are matched by their names where both sides have them, those of one name in their order; else by their numbers. `rowCount`: of the new labelling.
 */
export async function matchRows(
  { labels, items: oldItems, highest }: PreviousRun,
  rowCount: number,
  items: Items | undefined,
  onNotice?: (message: string) => void,
): Promise<EarlierRows> {
  const { clusterOf: clusters, ids, sizes } = clustersOf(labels);
  const before = new Int32Array(rowCount).fill(-1);
  if (oldItems && items) await matchByName(oldItems, items, clusters, before);
  else {
    onNotice?.('previous: rows are matched by their numbers, as not both runs have names of rows');
    before.set(clusters.subarray(0, rowCount));
  }
  return { earlier: { ids, sizes, highest }, before };
}

async function matchByName(oldItems: Items, items: Items, clusters: Int32Array, before: Int32Array): Promise<void> {
  const names = await readItems(oldItems);
  if (names.length !== clusters.length) {
    throw new NaanError('BAD_SHAPE', `${oldItems.name}: ${names.length} rows, expected ${clusters.length} as labels`);
  }
  const index = new TextIndex(names);
  /** The next row of the same name, by row, and the last that was taken, by the first. */
  const next = new Map<number, number>();
  const last = new Map<number, number>();
  for (const row of index.repeated) {
    const first = index.find(names.bytes(row));
    next.set(last.get(first) ?? first, row);
    last.set(first, row);
  }
  const taken = new Map<number, number>();
  const seen = new Uint8Array(names.length);
  await items.each((some, start) => {
    for (let i = 0; i < some.length; i++) {
      const first = index.find(Buffer.from(some[i]));
      if (first < 0) continue;
      let row = first;
      if (seen[first] === 1) {
        const following = next.get(taken.get(first) ?? first);
        if (following === undefined) continue;
        row = following;
        taken.set(first, row);
      }
      seen[first] = 1;
      before[start + i] = clusters[row];
    }
  });
}

export const changeTableName = 'changes.csv';

const linesAtOnce = 4096;

/** changes.csv: what became of each identity. Throws NOT_WRITABLE. */
export async function writeChanges(path: string, changes: readonly Change[]): Promise<void> {
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from('identity,change,other,rows_before,rows_after,rows_shared\n'));
    for (let first = 0; first < changes.length; first += linesAtOnce) {
      const lines = changes
        .slice(first, first + linesAtOnce)
        .map(({ identity, kind, other = '', before, after, shared }) =>
          [identity, kind, other, before, after, shared].join(',').concat('\n'),
        );
      await file.write(Buffer.from(lines.join('')));
    }
  });
}
