import type { HeadName } from '../heads/heads.js';
import { type Diagnosis, diagnose } from '../jobs/doctor.js';
import { nameOf } from '../machine/choose-backend.js';
import type { Machine } from '../machine/machine.js';
import type { Run } from './command.js';
import { bytes, count, table } from './format.js';

/** Threads that load a library must have done so before they can be ended. */
export const graceMs = 5000;

export const run: Run<'doctor'> = async ({ threads }, { signal, onProgress }) => {
  const diagnosis = await diagnose({ threads, signal, onProgress });
  return { json: diagnosis, text: describe(diagnosis) };
};

function describe(diagnosis: Diagnosis): string {
  const { machine, limits, arithmetic } = diagnosis;
  const digests = Object.entries(arithmetic).map(([head, digest]) => `${head} ${digest}`);
  const facts = [
    ...machineFacts(machine),
    ['products', `${limits.gemmGflops.toFixed(0)} GFLOP/s on ${threadsOf(limits.threads)}`],
    ['random rows', `${limits.randomRowGBps.toFixed(1)} GB/s`],
    ['stream', `${limits.streamGBps.toFixed(1)} GB/s`],
    ['arithmetic', digests.join(', ')],
  ];
  return [list(facts), rates(diagnosis), conclusion(diagnosis)].join('\n\n');
}

function machineFacts({ memory, onnxruntime, packages, gpu, ...machine }: Machine): string[][] {
  const limit = memory.limitBytes === undefined ? '' : `, at most ${bytes(memory.limitBytes)} for this process`;
  const tensorflow = Object.entries(packages).filter(([name]) => name.startsWith('@tensorflow/'));
  const origin = onnxruntime.isOwn ? "naan's own copy" : `from ${onnxruntime.folder}`;
  const seen = [...gpu.nvidia, ...gpu.devices];
  return [
    ['naan', `${machine.naan} on Node ${machine.node}, ${machine.platform}`],
    ['processor', `${machine.cpu}, ${count(machine.cores)} cores, ${threadsOf(machine.threads)} for this process`],
    ['SIMD', machine.simd],
    ['memory', `${bytes(memory.totalBytes)}, ${bytes(memory.freeBytes)} of it free${limit}`],
    ['ONNX Runtime', `${onnxruntime.version} with ${onnxruntime.providers.join(', ')}, ${origin}`],
    ['TensorFlow.js', tensorflow.map(([name, version]) => `${name} ${version}`).join(', ') || 'not installed'],
    ['GPU', seen.join('; ') || 'none seen: no device file, nothing from nvidia-smi'],
    ['Vulkan drivers', gpu.vulkanDrivers.join(', ') || 'none installed'],
  ];
}

/** Names padded, values as they are: some are long. */
function list(facts: readonly (readonly string[])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function rates({ backends }: Diagnosis): string {
  const most = backends.find(({ backend }) => backend === 'native')?.rates.at(-1);
  const ofNative = (rate: number, native: number | undefined) =>
    native === undefined ? '' : (rate / native).toFixed(2);
  const started = backends.filter(({ reason }) => reason === undefined);
  const rows = started.flatMap((diagnosis) =>
    diagnosis.rates.map(({ threads, nodesPerSecond, edgesPerSecond, pairsPerSecond, gflops }, index) => [
      index === 0 ? nameOf(diagnosis) : '',
      String(threads),
      count(nodesPerSecond),
      gflops.toFixed(1),
      ofNative(nodesPerSecond, most?.nodesPerSecond),
      count(edgesPerSecond),
      ofNative(edgesPerSecond, most?.edgesPerSecond),
      (pairsPerSecond / 1e6).toFixed(1),
      ofNative(pairsPerSecond, most?.pairsPerSecond),
    ]),
  );
  const heading = [
    ...['back-end', 'threads', 'concat: nodes/s', 'GFLOP/s', 'of native'],
    ...['pairwise: edges/s', 'of native', 'kNN: million pairs/s', 'of native'],
  ];
  const measured = table([heading, ...rows]);
  const missing = backends.filter(({ reason }) => reason !== undefined);
  if (missing.length === 0) return measured;
  const reasons = list(missing.map((diagnosis) => [nameOf(diagnosis), diagnosis.reason ?? '']));
  return `${measured}\n\nnot here (docs/gpu.md tells how to get them):\n${reasons}`;
}

function conclusion({ arithmetic, auto, autoKnn }: Diagnosis): string {
  const taken = (Object.keys(arithmetic) as HeadName[]).map((head) => {
    const chosen = auto[head];
    if (!chosen) return `--backend auto finds nothing that starts here for head ${head}`;
    return `--backend auto takes ${nameOf(chosen)} for head ${head}: ${chosen.reason}`;
  });
  const knn = autoKnn.map(({ rows, dim, reason, ...chosen }) => {
    return `--backend auto takes ${nameOf(chosen)} for the kNN graph of ${count(rows)} rows × ${dim}: ${reason}`;
  });
  return [
    ...taken,
    ...knn,
    'software adapters, TensorRT and TensorFlow.js are to be asked for; training computes on the CPU',
  ].join('\n');
}

function threadsOf(threads: number): string {
  return threads === 1 ? '1 thread' : `${count(threads)} threads`;
}
