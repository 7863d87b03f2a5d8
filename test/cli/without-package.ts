import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Makes a copy of the program that finds all of its packages but one, or but those of one scope. */
export function withoutPackage(unwanted: string, copy: string): { main: string; packages: string } {
  const packages = join(copy, 'node_modules');
  for (const part of ['dist/src', 'dist/workers', 'config', 'pages', 'package.json']) {
    cpSync(part, join(copy, part), { recursive: true });
  }
  symlinkSync(resolve('dist/runtime'), join(copy, 'dist/runtime'));
  mkdirSync(packages);
  for (const entry of readdirSync('node_modules')) {
    if (entry !== unwanted) symlinkSync(resolve('node_modules', entry), join(packages, entry));
  }
  return { main: join(copy, 'dist/src/cli/main.js'), packages };
}

/** Node looks for packages in every folder above the program, so one that stands there would be found: a reason to skip. */
export const tensorflowAbove = (() => {
  try {
    const found = createRequire(join(tmpdir(), 'any.js')).resolve('@tensorflow/tfjs-core');
    return `${found} is found from the temporary folder`;
  } catch {
    return false;
  }
})();
