import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { NaanError } from '../errors.js';
import { FolderLock, type LockRequest } from '../io/folder-lock.js';
import { systemReason } from '../system-error.js';

/** Called before something is written. Throws LOCK_LOST when another process has taken the training over. */
export type CheckOwned = () => Promise<void>;

/**
 * Does `work` as the only training with this checkpoint: two would each go on from what the other wrote. The lock is a
 * folder beside the checkpoint, there while the work lasts. Throws BAD_USAGE when another training has it, NOT_WRITABLE.
 */
export async function ownCheckpoint<T>(
  checkpoint: string,
  { signal, onNotice }: LockRequest,
  work: (checkOwned: CheckOwned) => Promise<T>,
): Promise<T> {
  const folder = `${checkpoint}.lock`;
  const lock = await takeFolder(folder, { signal, onNotice, option: '--out' });
  try {
    return await work(() => lock.check());
  } finally {
    await lock.release();
    try {
      rmdirSync(folder);
    } catch {
      // The next training has it already.
    }
  }
}

async function takeFolder(folder: string, request: LockRequest): Promise<FolderLock> {
  for (;;) {
    try {
      mkdirSync(folder, { recursive: true });
      return await FolderLock.take(folder, request);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT' && !existsSync(folder)) continue; // the one before removed it just now
      const reason = systemReason(cause);
      if (reason === undefined) throw cause;
      throw new NaanError('NOT_WRITABLE', `${folder}: cannot be written: ${reason}`, { cause });
    }
  }
}
