/** A folder a class, as torchvision's ImageFolder reads it: train/0012/name.jpg. */
import { constants, mkdirSync, symlinkSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { csvField } from '../io/label-table.js';
import { writing } from '../io/output-file.js';
import type { DatasetWriter, Destination, Part } from './dataset.js';
import { writeLines } from './hashed-file.js';
import { checkImage } from './images.js';

/** Endings that torchvision takes for images. */
const endings = new Set(['.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp']);
const copiesAtOnce = 8;
const linksBetweenBreaks = 256;

export const imageFolder: DatasetWriter = {
  name: 'imagefolder',
  async write(part, destination) {
    const name = namer(part, destination.onNotice);
    if (destination.files === 'plan') {
      const planned = (i: number) => `${csvField(resolve(part.file(i)))},${csvField(name(i))}\n`;
      return writeLines(destination, `${part.name}-plan.csv`, part.count, planned, {
        header: 'from,to\n',
        advance: (done) => destination.advance(part, done),
      });
    }
    await placeImages(part, destination, name);
  },
};

async function placeImages(part: Part, destination: Destination, name: (i: number) => string): Promise<void> {
  const { folder, files, advance } = destination;
  const made = (path: string) => writing(path, () => mkdirSync(path));
  await made(join(folder, part.name));
  let label = -1;
  let copies: Promise<void>[] = [];
  for (let i = 0; i < part.count; i++) {
    const target = join(folder, name(i));
    checkImage(part, i);
    if (part.labels[i] !== label) {
      label = part.labels[i];
      await made(join(target, '..'));
    }
    if (files === 'link') {
      await writing(target, () => symlinkSync(resolve(part.file(i)), target));
    } else {
      const copy = writing(target, () => copyFile(part.file(i), target, constants.COPYFILE_FICLONE));
      copy.catch(() => {}); // it is awaited with the others
      copies.push(copy);
    }
    if (copies.length < copiesAtOnce && (i + 1) % linksBetweenBreaks !== 0) continue;
    await Promise.all(copies);
    copies = [];
    await advance(part, i + 1);
  }
  await Promise.all(copies);
  await advance(part, part.count);
}

/**
 * The file of image i in the set, to be asked for in order. Classes have as many digits as the last one, to sort by their label;
 * a name that its class has already, by any case of letters, gets a number in front.
 */
function namer(part: Part, onNotice: Destination['onNotice']): (i: number) => string {
  const digits = String(part.firstLabel + part.identities - 1).length;
  /** Names of the class, and the number that comes in front of one when it comes again. */
  const taken = new Map<string, number>();
  const folded = (name: string) => name.normalize('NFC').toLowerCase();
  let label = -1;
  let unknown = 0;
  return (i) => {
    if (part.labels[i] !== label) {
      label = part.labels[i];
      taken.clear();
    }
    const last = basename(part.item(i).replaceAll('\\', '/'));
    const own = last === '' || last === '.' || last === '..' ? `image-${i}` : last;
    let name = own;
    let n = taken.get(folded(own)) ?? 2;
    while (taken.has(folded(name))) name = `${n++}-${own}`;
    taken.set(folded(own), n);
    if (name !== own) taken.set(folded(name), 2);
    if (!endings.has(extname(name).toLowerCase())) unknown++;
    if (i === part.count - 1 && unknown > 0) {
      onNotice(
        `${part.name}: ${unknown} images have no ending such as .jpg: torchvision's ImageFolder passes them over`,
      );
    }
    return join(part.name, String(label).padStart(digits, '0'), name);
  };
}
