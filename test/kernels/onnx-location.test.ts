import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { locateOnnx } from '../../src/kernels/onnx-location.js';
import { temporaryFolder } from '../cli/naan.js';
import { withoutPackage } from '../cli/without-package.js';

const { version } = locateOnnx();
const { main, packages } = withoutPackage('onnxruntime-node', join(temporaryFolder(after), 'program'));
const installed = join(packages, 'onnxruntime-node');

/** Evaluates an expression beside the copy of the program, where `module` is the one of `file`. */
function evaluate(file: string, expression: string): string {
  const url = pathToFileURL(join(main, '../../kernels', file));
  const program = `const module = await import('${url}'); console.log(${expression})`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  return stdout.trim() + stderr;
}

function install(fakeVersion: string): void {
  rmSync(installed, { recursive: true, force: true });
  mkdirSync(join(installed, 'dist'), { recursive: true });
  writeFileSync(join(installed, 'package.json'), JSON.stringify({ version: fakeVersion, main: 'dist/index.js' }));
  writeFileSync(join(installed, 'dist/index.js'), "throw new Error('not built for this machine\\nmore');");
}

test('onnxruntime-node is taken where it is installed in the same version, and no other', () => {
  assert.equal(evaluate('onnx-location.js', 'module.locateOnnx().isOwn'), 'true');
  install('1.30.0');
  assert.equal(evaluate('onnx-location.js', 'module.locateOnnx().isOwn'), 'true');
  install(version);
  assert.equal(evaluate('onnx-location.js', 'module.locateOnnx().folder'), installed);
});

test('a runtime that does not load says so in one line, with what to install', () => {
  install(version);
  const said = evaluate('onnx-runtime.js', '0');
  assert.match(
    said,
    /NaanError: ONNX Runtime [\d.]+ does not load on \w+ \w+ \(not built for this machine\); [^\n]*npm install onnxruntime-node@/,
  );
});

test("an application's other ONNX Runtime cannot be taken for naan's: its name on Linux is its own", () => {
  for (const arch of ['x64', 'arm64']) {
    const folder = join('dist/runtime/onnxruntime-node/bin/napi-v6/linux', arch);
    for (const name of ['libonnxruntime.naan', 'onnxruntime_binding.node']) {
      const bytes = readFileSync(join(folder, name));
      assert.ok(bytes.includes('libonnxruntime.naan\0'));
      assert.ok(!bytes.includes('libonnxruntime.so.1\0'));
    }
  }
});
