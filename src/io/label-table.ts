/**
 * labels.csv: the label of each row by its name, and where it is known the trust of its cluster, as `item,label,trust` (RFC 4180,
 * lines end as on Unix).
 */
import type { Items } from './item-list.js';
import { writeOutput } from './output-file.js';

export const labelTableName = 'labels.csv';

/**
 * Writes a line for each row, from names that are read again meanwhile; `trust`: of the row's cluster. Throws NOT_WRITABLE, or as the
 * names are read.
 */
export async function writeLabelTable(
  path: string,
  items: Items,
  labels: Int32Array,
  trust?: (row: number) => string,
): Promise<void> {
  await writeOutput(path, async (file) => {
    await file.write(Buffer.from(trust ? 'item,label,trust\n' : 'item,label\n'));
    await items.each(async (names, first) => {
      let text = '';
      for (let i = 0; i < names.length; i++) {
        text += `${csvField(names[i])},${labels[first + i]}${trust ? `,${trust(first + i)}` : ''}\n`;
      }
      await file.write(Buffer.from(text));
    });
  });
}

/** names.csv: the name of each label that people have named, as `label,name`. */
export const nameTableName = 'names.csv';

/** Writes a line for each name, by rising label; a name whose rows have no label is left out. Throws NOT_WRITABLE. */
export async function writeNameTable(
  path: string,
  names: readonly { readonly label: number; readonly name: string }[],
): Promise<void> {
  const rising = names.filter(({ label }) => label >= 0).sort((a, b) => a.label - b.label);
  const lines = rising.map(({ label, name }) => `${label},${csvField(name)}\n`);
  await writeOutput(path, (file) => file.write(Buffer.from(`label,name\n${lines.join('')}`)));
}

/** A field of a CSV file, in quotes where it would be read as something else without. */
export function csvField(text: string): string {
  return /[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
