/** A process that takes a folder's lock: `node lock-owner.js FOLDER`. Says `owner` or why not; ends with its input. */
import { FolderLock } from '../../src/io/folder-lock.js';
import { quickTiming } from './lock-timing.js';

try {
  const lock = await FolderLock.take(process.argv[2], { timing: quickTiming });
  lock.onLost = () => void process.stdout.write(`lost ${lock.lost?.message}\n`);
  process.stdout.write('owner\n');
  process.stdin.on('end', () => lock.release()).resume();
} catch (error) {
  process.stdout.write(`refused ${(error as Error).message}\n`);
}
