/** What computes, from what the user asked for and what is on this machine; by files alone, so that it costs nothing. */
import { createRequire } from 'node:module';
import type { BackendName, OnnxProvider } from './names.js';
import { missingFor } from './onnx-providers.js';

export interface BackendChoice {
  readonly backend: BackendName;
  readonly provider?: OnnxProvider;
  /** A software adapter will not do. */
  readonly realAdapter?: boolean;
}

export interface BackendPlan {
  /** Choices for a thread that owns a device, which takes the first that starts. Empty where no device is wanted or possible. */
  readonly devices: readonly BackendChoice[];
  /** What each worker starts where no device did; without it that is an error. */
  readonly otherwise?: BackendChoice;
  /** What was not considered, and why. */
  readonly reasons: readonly string[];
}

export function planBackend(backend: BackendName | 'auto', provider: OnnxProvider | 'auto' = 'auto'): BackendPlan {
  if (backend === 'tfjs' && hasTfjsGpu()) return { devices: [{ backend }], reasons: [] };
  if (backend !== 'auto' && backend !== 'onnx') return { devices: [], otherwise: { backend }, reasons: [] };
  if (backend === 'onnx' && provider === 'cpu') return { devices: [], otherwise: { backend, provider }, reasons: [] };
  if (provider !== 'auto' && provider !== 'cpu') return { devices: [{ backend: 'onnx', provider }], reasons: [] };

  const devices: BackendChoice[] = [];
  const reasons: string[] = [];
  for (const candidate of ['cuda', 'webgpu'] as const) {
    const missing = missingFor(candidate);
    if (missing) reasons.push(`${candidate}: ${missing}`);
    else devices.push({ backend: 'onnx', provider: candidate, realAdapter: true });
  }
  const otherwise: BackendChoice = backend === 'onnx' ? { backend, provider: 'cpu' } : { backend: 'native' };
  return { devices, otherwise, reasons };
}

function hasTfjsGpu(): boolean {
  try {
    createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu');
    return true;
  } catch {
    return false;
  }
}
