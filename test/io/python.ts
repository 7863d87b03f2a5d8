/** Debian's Python, whose NumPy and PyTorch are the other side of the formats this project reads and writes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const interpreter = '/usr/bin/python3';

/** `false` where the module can be imported, else the reason to skip. */
export function without(module: 'numpy' | 'torch' | 'PIL'): string | false {
  const { status } = spawnSync(interpreter, ['-c', `import ${module}`]);
  return status === 0 ? false : `${interpreter} cannot import ${module}`;
}

/** Runs a script with arguments in sys.argv[1:] and returns what it printed. */
export function python(script: string, ...args: string[]): string {
  return execFileSync(interpreter, ['-c', script, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
}

/** A folder that is gone when the test ends. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'naan-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
