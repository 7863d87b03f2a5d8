/** Reads names of rows, such as paths of images, in any format that has `items` (see formats/formats.ts). */
import { formatOf } from './formats/formats.js';
import { inputsOf, parseInput } from './input-file.js';
import type { Items } from './item-list.js';
import { oneLine } from './messages.js';
import { joinItems } from './several-files.js';
import { TextIndex, TextList } from './text-list.js';

/** The names in `file`, `file:array` of an archive or `file:column` of a table. */
export async function openItems(file: string): Promise<Items> {
  const files = inputsOf(file);
  const parts: Items[] = [];
  for (const one of files) {
    const input = parseInput(one);
    parts.push(await formatOf(input.path, 'items').items(input));
  }
  return parts.length === 1 ? parts[0] : joinItems(oneLine(file), parts);
}

/** The names of rows in a file of features or labels; undefined where it has none. */
export async function itemsBeside(file: string, role: 'features' | 'labels'): Promise<Items | undefined> {
  const parts: Items[] = [];
  for (const one of inputsOf(file)) {
    const { path } = parseInput(one);
    const part = await formatOf(path, role).itemsBeside?.(path);
    if (!part) return undefined;
    parts.push(part);
  }
  const items = parts.length === 1 ? parts[0] : joinItems(file, parts);
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
