import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Makes the names in a folder survive a power cut, after files were made, renamed or removed there. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return; // it cannot open folders, and keeps names itself
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    // Not every file system can, and then there is nothing to ask it for.
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    closeSync(fd);
  }
}
