/**
 * The location of ONNX Runtime. naan brings its own copy (`scripts/bundle-runtime.ts`), so that an installation runs no script and
 * fetches nothing. Where the package onnxruntime-node of the very same version is installed beside naan, that one is taken:
 * it has what a GPU needs. Another version is left alone: later ones write and send telemetry. Loads nothing native.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface OnnxLocation {
  /** Folder of a package onnxruntime-node. */
  readonly folder: string;
  /** Folder of the native libraries for this platform. */
  readonly libraries: string;
  readonly version: string;
  readonly isOwn: boolean;
}

const own = fileURLToPath(new URL('../../runtime/onnxruntime-node', import.meta.url));

let known: OnnxLocation | undefined;

export function locateOnnx(): OnnxLocation {
  known ??= locate();
  return known;
}

function locate(): OnnxLocation {
  const version = versionIn(own);
  if (version === undefined) throw new Error(`${own} is missing: in a checkout of naan, 'npm run build' makes it`);
  const installed = installedFolder();
  const isOwn = installed === undefined || versionIn(installed) !== version;
  const folder = isOwn ? own : installed;
  return { folder, libraries: join(folder, 'bin/napi-v6', process.platform, process.arch), version, isOwn };
}

function installedFolder(): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')));
  } catch {
    return undefined;
  }
}

function versionIn(folder: string): string | undefined {
  const path = join(folder, 'package.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).version : undefined;
}

/** The library that a provider needs besides ONNX Runtime itself, where it is not here. */
export function missingLibrary(provider: string): string | undefined {
  const name = providerLibraries[process.platform]?.[provider];
  const path = name && join(locateOnnx().libraries, name);
  return path && !existsSync(path) ? path : undefined;
}

const providerLibraries: Partial<Record<NodeJS.Platform, Record<string, string>>> = {
  linux: { cuda: 'libonnxruntime_providers_cuda.so', tensorrt: 'libonnxruntime_providers_tensorrt.so' },
  win32: { webgpu: 'dxcompiler.dll', dml: 'DirectML.dll' },
};

/** Instructions for getting the libraries that naan's own copy leaves out. */
export function howToInstall(environment = ''): string {
  return `'${environment}npm install onnxruntime-node@${locateOnnx().version}', its install script allowed`;
}
