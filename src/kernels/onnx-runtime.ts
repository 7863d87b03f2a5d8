/** ONNX Runtime, loaded where `onnx-location.ts` says, and what of it is used here. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { NaanError } from '../errors.js';
import { howToInstall, locateOnnx } from './onnx-location.js';

export interface SessionOptions {
  readonly executionProviders: readonly (string | { readonly name: string; readonly deviceId: number })[];
  readonly intraOpNumThreads: number;
  readonly interOpNumThreads: number;
  readonly enableMemPattern: boolean;
  /** 2: warnings are printed, the default; 3: errors alone. */
  readonly logSeverityLevel?: 2 | 3;
  readonly extra?: Readonly<Record<string, unknown>>;
}

export interface Tensor {
  readonly data: ArrayBufferView;
  readonly dims: readonly number[];
}

/** An input or output of a model. A size that is a name is known only when the model runs; what is no tensor has no shape. */
export interface ValueMetadata {
  readonly name: string;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

export interface InferenceSession {
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  /** Results go to the tensors given for them. */
  run(
    inputs: Readonly<Record<string, Tensor>>,
    outputs?: Readonly<Record<string, Tensor>>,
  ): Promise<Readonly<Record<string, Tensor>>>;
  release(): Promise<void>;
}

interface OnnxRuntime {
  readonly InferenceSession: { create(model: Uint8Array | string, options: SessionOptions): Promise<InferenceSession> };
  readonly Tensor: new (type: string, data: ArrayBufferView, shape: readonly number[]) => Tensor;
  /** `bundled`: no library besides is loaded for it, as far as the build knows. */
  readonly listSupportedBackends: () => readonly { readonly name: string; readonly bundled: boolean }[];
}

export const { InferenceSession, Tensor, listSupportedBackends } = load();

function load(): OnnxRuntime {
  const { folder, version } = locateOnnx();
  try {
    return createRequire(import.meta.url)(join(folder, 'dist/index.js'));
  } catch (cause) {
    const platform = `${process.platform} ${process.arch}`;
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).trim().split('\n');
    const message = `ONNX Runtime ${version} does not load on ${platform} (${reason}); another build of it comes with ${howToInstall()}`;
    throw new NaanError('BACKEND_UNAVAILABLE', message, { cause });
  }
}
