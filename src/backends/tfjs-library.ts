/**
 * The TensorFlow.js that is installed. naan depends on none of it: the user installs one of three packages, and the first
 * that is installed is taken. An installed one that cannot start is an error and not a reason to take a slower one.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as util from 'node:util';
import { NaanError } from '../errors.js';

type Tensorflow = typeof import('@tensorflow/tfjs-core');

export interface TfjsLibrary {
  readonly tf: Tensorflow;
  readonly peer: string;
  /** The name of the device, for people. */
  readonly device: string;
  /** Rows gathered in one operation: small enough for a CPU's caches, large enough to fill a GPU. */
  readonly pieceBytes: number;
  /** The size of its memory, if that is less than the machine's. */
  readonly mostBytes: number;
}

interface Peer {
  /** Packages it needs, the one that names it first. */
  readonly packages: readonly string[];
  readonly start: (tf: Tensorflow) => Promise<Omit<TfjsLibrary, 'tf' | 'peer'>>;
}

/** tfjs-node and tfjs-node-gpu 4.22 bind to libtensorflow 2.9.1, which was built for these. */
const cuda = 'an NVIDIA driver, CUDA 11.2 and cuDNN 8.1';

const peers: readonly Peer[] = [
  {
    packages: ['@tensorflow/tfjs-node-gpu'],
    async start(tf) {
      checkNode();
      if (!(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice) {
        throw new Error(`it finds no CUDA device: it needs ${cuda}, their libraries on LD_LIBRARY_PATH`);
      }
      return { device: 'CUDA', pieceBytes: 2 ** 28, mostBytes: Infinity };
    },
  },
  {
    packages: ['@tensorflow/tfjs-node'],
    async start() {
      checkNode();
      return { device: 'CPU', pieceBytes: 2 ** 22, mostBytes: Infinity };
    },
  },
  {
    packages: ['@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-core'],
    async start(tf) {
      const [name] = this.packages;
      const { setWasmPaths } = (await import(name)).default as typeof import('@tensorflow/tfjs-backend-wasm');
      setWasmPaths(`${dirname(createRequire(import.meta.url).resolve(name))}/`);
      // Every worker of naan has its own: threads below them would only fight for the same cores.
      tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
      if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly does not start');
      return { device: 'WebAssembly', pieceBytes: 2 ** 22, mostBytes: 2 ** 31 };
    },
  },
];

/** Node 23 took away functions that tfjs-node 4.22 calls in nearly every operation. */
function checkNode(): void {
  if ('isNullOrUndefined' in util) return;
  throw new Error(
    `it does not run on Node ${process.versions.node}: it calls functions that Node 23 removed; use 20 or 22`,
  );
}

let loading: Promise<TfjsLibrary> | undefined;

/** The library, loaded once a thread. Throws BACKEND_UNAVAILABLE when none is installed or the installed one cannot start. */
export function loadTfjs(): Promise<TfjsLibrary> {
  loading ??= load();
  return loading;
}

async function load(): Promise<TfjsLibrary> {
  for (const peer of peers) {
    const [name] = peer.packages;
    try {
      const tf: Tensorflow = (await import(peer.packages.at(-1) as string)).default;
      return { tf, peer: name, ...(await peer.start(tf)) };
    } catch (error) {
      if (peer.packages.some((missing) => isMissing(missing, error))) continue;
      const reason = error instanceof Error ? error.message : String(error);
      throw new NaanError('BACKEND_UNAVAILABLE', `${name} is installed but cannot start: ${reason.trim()}`);
    }
  }
  throw new NaanError('BACKEND_UNAVAILABLE', `no TensorFlow.js is installed: ${howToInstall}`);
}

const howToInstall =
  "for a GPU 'npm install @tensorflow/tfjs-node-gpu@4.22.0', its install script allowed " +
  `(Linux or Windows on x64, Node 20 or 22, ${cuda}); ` +
  "for a CPU 'npm install @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0' (any Node that naan runs on)";

/** Whether importing failed because this package is not there; one that misses another of its own is broken. */
function isMissing(name: string, error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ERR_MODULE_NOT_FOUND' && message.includes(`package '${name}'`);
}
