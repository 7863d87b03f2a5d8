/** Names of what computes, apart from what starts it: help is printed sooner without that. */

/** In the order in which `doctor` tells of them. */
export const backendNames = ['native', 'onnx', 'tfjs', 'reference'] as const;
export type BackendName = (typeof backendNames)[number];

/** Execution providers of ONNX Runtime. */
export const onnxProviders = ['cuda', 'tensorrt', 'webgpu', 'cpu'] as const;
export type OnnxProvider = (typeof onnxProviders)[number];
