/** The back-ends of a run, from the user's request and the devices of this machine; found by files alone, so that it costs nothing. */
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
  /** The back-end that each worker starts where no device did; without it that is an error. */
  readonly otherwise?: BackendChoice;
  /** The back-ends that were not considered, and why. */
  readonly reasons: readonly string[];
}

/** `auto` is `native` here: whether a device is faster is known once it has been measured (`machine/choose-backend.ts`). */
export function planBackend(backend: BackendName | 'auto', provider: OnnxProvider | 'auto' = 'auto'): BackendPlan {
  if (backend === 'tfjs' && hasTfjsGpu()) return { devices: [{ backend }], reasons: [] };
  if (backend === 'onnx' && provider === 'cpu') return { devices: [], otherwise: { backend, provider }, reasons: [] };
  const named = provider !== 'auto' && provider !== 'cpu';
  if ((backend === 'auto' || backend === 'onnx') && named)
    return { devices: [{ backend: 'onnx', provider }], reasons: [] };
  if (backend === 'auto') return { devices: [], otherwise: { backend: 'native' }, reasons: [] };
  if (backend !== 'onnx') return { devices: [], otherwise: { backend }, reasons: [] };
  return { ...realDevices(), otherwise: { backend, provider: 'cpu' } };
}

/** Devices that may be here and that nobody has to ask for by name, in the order of preference; and reasons why others are not. */
export function realDevices(): Pick<BackendPlan, 'devices' | 'reasons'> {
  const devices: BackendChoice[] = [];
  const reasons: string[] = [];
  for (const candidate of ['cuda', 'webgpu'] as const) {
    const missing = missingFor(candidate);
    if (missing) reasons.push(`${candidate}: ${missing}`);
    else devices.push({ backend: 'onnx', provider: candidate, realAdapter: true });
  }
  return { devices, reasons };
}

function hasTfjsGpu(): boolean {
  try {
    createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu');
    return true;
  } catch {
    return false;
  }
}
