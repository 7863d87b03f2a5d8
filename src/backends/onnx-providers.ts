/** The execution providers of ONNX Runtime: which could start on this machine. Loads nothing native. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { NaanError } from '../errors.js';
import { howToInstall, missingLibrary } from '../kernels/onnx-location.js';
import type { OnnxProvider } from './names.js';

/**
 * Why a provider cannot run on this machine, by files alone: nothing is loaded. Undefined where it may.
 * `webgpu` here means a real adapter; software ones need no device file.
 */
export function missingFor(provider: OnnxProvider): string | undefined {
  if (provider === 'cpu') return undefined;
  if (provider === 'webgpu') {
    if (process.platform === 'linux' && gpuFiles('/dev').length === 0) {
      return 'no GPU device file (/dev/dri/renderD*, /dev/nvidia*, /dev/dxg) is here';
    }
    return missing('webgpu');
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `onnxruntime-node has it for Linux x64 alone, this is ${process.platform} ${process.arch}`;
  }
  if (gpuFiles('/dev').every((file) => file.includes('/dri/'))) {
    return 'no NVIDIA device file (/dev/nvidia*, /dev/dxg) is here';
  }
  return missing(provider, 'ONNXRUNTIME_NODE_INSTALL=cuda12 ');
}

function missing(provider: OnnxProvider, environment?: string): string | undefined {
  const library = missingLibrary(provider);
  return library && `${library} is missing; it comes with ${howToInstall(environment)}`;
}

/** GPU device files in a folder of devices. */
function gpuFiles(folder: string): string[] {
  const entries = (path: string) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);
  return [
    ...entries(join(folder, 'dri')).filter((path) => path.includes('/renderD')),
    ...entries(folder).filter((path) => /\/(nvidia\d+|dxg)$/.test(path)),
  ];
}

/**
 * Whether the adapter that webgpu has opened is a real one. Vulkan drivers of real devices hold a device file open;
 * software ones (SwiftShader, llvmpipe) hold none. Dawn prefers a real adapter where it sees one.
 */
export function holdsRealAdapter(): boolean {
  if (process.platform !== 'linux') return true;
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return /^\/dev\/(dri\/renderD|nvidia|dxg)/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  });
}

/** Products in float32, as everywhere else: CUDA's libraries would round operands to TF32. Before they are loaded. */
export function forbidReducedPrecision(): void {
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
}

export function unavailable(provider: OnnxProvider, cause: unknown): NaanError {
  const reason = typeof cause === 'string' ? cause : firstLine(cause);
  return new NaanError('BACKEND_UNAVAILABLE', `ONNX Runtime's provider '${provider}' cannot start: ${reason}`);
}

function firstLine(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  return line.replace(/^\S+\.cc:\d+ .* was false\. /, '');
}
