/** Reads names of rows, such as paths of images, in any format that has `items` (see formats/formats.ts). */
import { formatOf } from './formats/formats.js';
import { parseInput } from './input-file.js';
import type { Items } from './item-list.js';
import { TextIndex, TextList } from './text-list.js';

/** The names in `file`, `file:array` of an archive or `file:column` of a table. */
export async function openItems(file: string): Promise<Items> {
  const input = parseInput(file);
  return formatOf(input.path, 'items').items(input);
}

/** The names of rows in a file of features or labels; undefined where it has none. */
export async function itemsBeside(file: string, role: 'features' | 'labels'): Promise<Items | undefined> {
  const { path } = parseInput(file);
  const items = await formatOf(path, role).itemsBeside?.(path);
  if (!items?.mayBeIdentities) return items;
  const repeated = new TextIndex(await readItems(items)).repeated.length > 0;
  return repeated ? undefined : items;
}

/** All names, packed. */
export async function readItems(items: Items): Promise<TextList> {
  const list = new TextList();
  await items.each((names) => {
    for (const name of names) list.add(name);
  });
  return list;
}
