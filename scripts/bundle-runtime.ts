/**
 * Makes dist/runtime: the parts of the package onnxruntime-node that naan needs, for every platform that naan is made for.
 * The package itself cannot be a dependency: its install script fetches CUDA libraries of 300 MB or fails, and it brings
 * every platform's libraries for DirectX. `runtime/` says which version, with its digest, and has the licences.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Linux takes libraries of one name for one, so that an application that uses another version would get the wrong one. */
const soname = 'libonnxruntime.so.1';
const ownName = 'libonnxruntime.naan';

const libraries = [
  ['linux/x64', soname],
  ['linux/arm64', soname],
  ['darwin/arm64', 'libonnxruntime.1.dylib'],
  ['win32/x64', 'onnxruntime.dll'],
] as const;

const node = 'onnxruntime-node/dist';
const common = 'onnxruntime-common/dist/cjs';
const target = 'dist/runtime';
const wanted = JSON.parse(readFileSync('runtime/package.json', 'utf8')).dependencies['onnxruntime-node'];
const made = join(target, 'onnxruntime-node/package.json');
if (!existsSync(made) || JSON.parse(readFileSync(made, 'utf8')).version !== wanted) bundle();

function bundle(): void {
  const work = `${target}.${process.pid}.tmp`;
  try {
    const packages = join(work, 'node_modules');
    cpSync('runtime', work, { recursive: true });
    // Said by flags: what an outer `npm pack --dry-run` or `npm install --global` was told is not meant for this one.
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--global=false', '--dry-run=false'];
    execFileSync('npm', ['ci', ...flags], { cwd: work, shell: process.platform === 'win32', stdio: 'inherit' });

    const out = join(work, 'out');
    const keep = (path: string) => {
      mkdirSync(dirname(join(out, path)), { recursive: true });
      renameSync(join(packages, path), join(out, path));
    };
    for (const folder of [node, common]) {
      for (const name of readdirSync(join(packages, folder))) if (name.endsWith('.js')) keep(join(folder, name));
    }
    keep(join(common, 'package.json')); // says that the files are CommonJS
    for (const [platform, library] of libraries) {
      const folder = join('onnxruntime-node/bin/napi-v6', platform);
      for (const name of [library, 'onnxruntime_binding.node']) keep(join(folder, name));
      if (library === soname) giveOwnName(join(out, folder));
    }
    for (const name of readdirSync(join(out, node))) {
      const path = join(out, node, name);
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, text.replaceAll('require("onnxruntime-common")', `require("../../${common}/index.js")`));
    }
    for (const name of ['LICENSE', 'ThirdPartyNotices.txt']) renameSync(join(work, name), join(out, name));
    const description = { name: 'onnxruntime-node', version: wanted, license: 'MIT', type: 'commonjs' };
    writeFileSync(join(out, 'onnxruntime-node/package.json'), `${JSON.stringify(description, null, 2)}\n`);
    rmSync(target, { recursive: true, force: true });
    renameSync(out, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Names of one length: the bytes stay where they are. */
function giveOwnName(folder: string): void {
  for (const name of [soname, 'onnxruntime_binding.node']) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf(`${soname}\0`); at >= 0; at = bytes.indexOf(`${soname}\0`, at))
      bytes.write(ownName, at);
    writeFileSync(path, bytes);
  }
  renameSync(join(folder, soname), join(folder, ownName));
}
