/** Reading what others will read soon, so that they find it in the page cache of the system. */
import { type FileHandle, open } from 'node:fs/promises';

const bytesAtOnce = 2 ** 22;

/**
 * Reads up to `length` bytes of a file from byte `start`, until `signal` is aborted. Never fails: what cannot be read is
 * left for its readers to find. Any `length` will do: Node ends the process when it is asked for part of a byte.
 */
export async function readAhead(path: string, start: number, length: number, signal: AbortSignal): Promise<void> {
  const whole = Math.floor(length);
  if (!(whole > 0)) return;
  const buffer = Buffer.allocUnsafe(Math.min(bytesAtOnce, whole));
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    for (let done = 0; done < whole && !signal.aborted; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, whole - done), start + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch {
    // Nothing was promised.
  } finally {
    await file?.close();
  }
}
