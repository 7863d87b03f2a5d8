/** Images of items: only files below one folder, whatever an item is called or a link leads to. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { NaanError } from '../errors.js';

/** The folder with all links followed. Throws BAD_INPUT where it is none. */
export async function imageRoot(root: string): Promise<string> {
  try {
    const real = await realpath(root);
    if ((await stat(real)).isDirectory()) return real;
  } catch {}
  throw new NaanError('BAD_INPUT', `${root}: is no folder, expected the --images that items lie in`);
}

/** The file of an item, links followed; undefined where there is none below `root`, which `imageRoot` has given. */
export async function imageFile(root: string, item: string): Promise<string | undefined> {
  if (item.includes('\0')) return undefined;
  try {
    const real = await realpath(resolve(root, item));
    const within = relative(root, real);
    if (within === '' || within === '..' || within.startsWith(`..${sep}`) || isAbsolute(within)) return undefined;
    return (await stat(real)).isFile() ? real : undefined;
  } catch {
    return undefined;
  }
}
