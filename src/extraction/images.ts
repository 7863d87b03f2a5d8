/** Sources of images: a folder tree, a list of files, or a record file. Threads are told where each image lies. */
import { opendirSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { NaanError } from '../errors.js';
import { readStart, unreadable } from '../io/input-file.js';
import { openItems, readItems } from '../io/items.js';
import { TextList } from '../io/text-list.js';
import { imageEndings, imageKinds } from './decode.js';
import { findRecords, namesOfRecords } from './record-file.js';

/** Places of images as threads are given them. */
export type ImagePlaces =
  | { readonly kind: 'files'; readonly folder: string; readonly names: PackedNames }
  | { readonly kind: 'records'; readonly path: string; readonly positions: Float64Array };

/** Names in shared memory: name i is the bytes from ends[i − 1] to ends[i]. */
interface PackedNames {
  readonly bytes: Uint8Array;
  readonly ends: Float64Array;
}

export interface Images {
  readonly count: number;
  readonly places: ImagePlaces;
  /** Name of image i. */
  item(i: number): string;
  /** Files of a folder that are left alone, by their endings. */
  readonly others: number;
}

/** `root`: where relative names of a list lie. Throws BAD_INPUT where there are no images. */
export async function findImages(source: string, root: string | undefined): Promise<Images> {
  let isFolder: boolean;
  try {
    isFolder = statSync(source).isDirectory();
  } catch (error) {
    throw unreadable(source, error);
  }
  if (!isFolder && isRecordFile(source)) return imagesOfRecords(source);
  if (isFolder && root !== undefined) {
    throw new NaanError('BAD_USAGE', `root: is for a list of images, and ${source} is a folder`);
  }
  let others = 0;
  const names = isFolder ? new TextList() : await readItems(await openItems(source));
  if (isFolder) others = walk(source, '', names);
  if (names.length === 0) {
    throw new NaanError('BAD_INPUT', `${source}: has no files in it that end as images do, expected ${imageKinds}`);
  }
  const places: ImagePlaces = { kind: 'files', folder: resolve(isFolder ? source : (root ?? '.')), names: pack(names) };
  return { count: names.length, places, item: (i) => names.at(i), others };
}

/** The file of image i. */
export function pathOf({ folder, names }: Extract<ImagePlaces, { kind: 'files' }>, i: number): string {
  const start = i === 0 ? 0 : names.ends[i - 1];
  return resolve(folder, Buffer.from(names.bytes.slice(start, names.ends[i])).toString());
}

function isRecordFile(path: string): boolean {
  return Buffer.from(readStart(path, 4)).equals(Buffer.from([0x0a, 0x23, 0xd7, 0xce]));
}

async function imagesOfRecords(path: string): Promise<Images> {
  const { keys, positions } = await findRecords(path);
  const names = await namesOfRecords(path);
  const item = (i: number) => names?.get(keys[i]) ?? String(keys[i]);
  return { count: keys.length, places: { kind: 'records', path, positions }, item, others: 0 };
}

/** Adds names below a folder, each folder in the order of names; returns how many files are no images by their endings. */
function walk(root: string, below: string, names: TextList): number {
  const entries: { readonly name: string; readonly isFolder: boolean }[] = [];
  let others = 0;
  const folder = join(root, below);
  try {
    const handle = opendirSync(folder);
    try {
      for (let entry = handle.readSync(); entry; entry = handle.readSync()) {
        const { name } = entry;
        if (entry.isDirectory()) {
          entries.push({ name, isFolder: true });
          continue;
        }
        const isFile = entry.isFile() || (entry.isSymbolicLink() && isLinkToFile(join(folder, name)));
        if (isFile && imageEndings.has(extname(name).slice(1).toLowerCase())) entries.push({ name, isFolder: false });
        else others++;
      }
    } finally {
      handle.closeSync();
    }
  } catch (error) {
    throw unreadable(folder, error);
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, isFolder } of entries) {
    const path = below === '' ? name : `${below}/${name}`;
    if (isFolder) others += walk(root, path, names);
    else names.add(path);
  }
  return others;
}

/** A link that leads nowhere is an image that is missing, and told as one. */
function isLinkToFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? true;
}

function pack(list: TextList): PackedNames {
  const ends = new Float64Array(new SharedArrayBuffer(8 * list.length));
  let total = 0;
  for (let i = 0; i < list.length; i++) {
    total += list.bytes(i).length;
    ends[i] = total;
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(total));
  for (let i = 0; i < list.length; i++) bytes.set(list.bytes(i), i === 0 ? 0 : ends[i - 1]);
  return { bytes, ends };
}
