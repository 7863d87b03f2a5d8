/** Names of what computes, apart from what starts it: help is printed sooner without that. */

/** Back-ends in the order in which `doctor` reports them. */
export const backendNames = ['native', 'onnx', 'tfjs', 'reference'] as const;
export type BackendName = (typeof backendNames)[number];

/** Execution providers of ONNX Runtime. */
export const onnxProviders = ['cuda', 'tensorrt', 'webgpu', 'cpu'] as const;
export type OnnxProvider = (typeof onnxProviders)[number];
