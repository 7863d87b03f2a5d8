/** The parts of this machine that naan can use, as the system reports them; nothing is measured. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { availableCores, readCgroupLimits } from '../cgroup.js';
import { bestSimdLevel, type SimdLevel } from '../kernels/kernels.js';
import { locateOnnx, missingLibrary } from '../kernels/onnx-location.js';
import { listSupportedBackends } from '../kernels/onnx-runtime.js';
import { version } from '../version.js';

export interface Machine {
  readonly naan: string;
  readonly node: string;
  /** System and architecture, such as `linux x64`. */
  readonly platform: string;
  readonly cpu: string;
  /** Cores of the machine, and threads that this process may run at once. */
  readonly cores: number;
  readonly threads: number;
  readonly simd: SimdLevel;
  readonly memory: {
    readonly totalBytes: number;
    readonly freeBytes: number;
    /** The limit of the control group, where it is below the memory of the machine. */
    readonly limitBytes?: number;
  };
  readonly onnxruntime: {
    readonly version: string;
    /** Folder of the package that is used. */
    readonly folder: string;
    /** Whether that is the copy that naan brings. */
    readonly isOwn: boolean;
    /** Providers of which every library is here. */
    readonly providers: readonly string[];
  };
  /** Versions of the optional packages that are installed. */
  readonly packages: Readonly<Record<string, string>>;
  readonly gpu: {
    /** Device files. */
    readonly devices: readonly string[];
    /** Name, driver and memory of each, as nvidia-smi says. */
    readonly nvidia: readonly string[];
    /** Manifests of installed Vulkan drivers. */
    readonly vulkanDrivers: readonly string[];
  };
}

const optionalPackages = [
  '@tensorflow/tfjs-node-gpu',
  '@tensorflow/tfjs-node',
  '@tensorflow/tfjs-backend-wasm',
  'usearch',
];

const resolve = createRequire(import.meta.url).resolve;

export function describeMachine(): Machine {
  const { memoryBytes: limitBytes } = readCgroupLimits();
  const totalBytes = totalmem();
  const onnx = locateOnnx();
  return {
    naan: version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    threads: availableCores(),
    simd: bestSimdLevel(),
    memory: {
      totalBytes,
      freeBytes: freemem(),
      ...(limitBytes < totalBytes && { limitBytes }),
    },
    onnxruntime: {
      version: onnx.version,
      folder: onnx.folder,
      isOwn: onnx.isOwn,
      providers: listSupportedBackends().flatMap(({ name }) => (missingLibrary(name) ? [] : [name])),
    },
    packages: Object.fromEntries(
      optionalPackages.flatMap((name) => {
        const found = versionOf(name);
        return found === undefined ? [] : [[name, found]];
      }),
    ),
    gpu: { devices: gpuDevices(), nvidia: nvidiaGpus(), vulkanDrivers: vulkanDrivers() },
  };
}

/** The package.json of a package need not be exported: it is looked for beside what is. */
function versionOf(name: string): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    for (let folder = dirname(resolve(name)); folder !== dirname(folder); folder = dirname(folder)) {
      const path = join(folder, 'package.json');
      if (existsSync(path) && require(path).name === name) return require(path).version;
    }
  } catch {
    // Not installed.
  }
  return undefined;
}

function gpuDevices(): string[] {
  const inDev = filesIn('/dev').filter((path) => /\/(nvidia\d+|kfd|dxg)$/.test(path));
  return [...inDev, ...filesIn('/dev/dri').filter((path) => /\/renderD\d+$/.test(path))];
}

function nvidiaGpus(): string[] {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? stdout.trim().split('\n') : [];
}

/** The folders of the Vulkan loader, and the variables that name others. */
function vulkanDrivers(): string[] {
  const told = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (told) return told.split(':').filter((path) => existsSync(path));
  const folders = ['/etc', '/usr/local/etc', '/usr/local/share', '/usr/share'];
  return folders.flatMap((folder) => filesIn(join(folder, 'vulkan/icd.d'))).filter((path) => path.endsWith('.json'));
}

/** Paths of what a folder holds, sorted; none where there is no such folder. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}
