import { once } from 'node:events';
import { mkdirSync, readdirSync, watch } from 'node:fs';

/** Resolves when a folder, made if need be, has a file of such a name, which a pattern or a function tells. */
export async function appeared(folder: string, name: { test(found: string): boolean }): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const watcher = watch(folder);
  try {
    while (!readdirSync(folder).some((found) => name.test(found))) await once(watcher, 'change');
  } finally {
    watcher.close();
  }
}
