import { type BackendDiagnosis, type Diagnosis, diagnose } from '../jobs/doctor.js';
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
  const facts = [
    ...machineFacts(machine),
    ['products', `${limits.gemmGflops.toFixed(0)} GFLOP/s on ${threadsOf(limits.threads)}`],
    ['random rows', `${limits.randomRowGBps.toFixed(1)} GB/s`],
    ['stream', `${limits.streamGBps.toFixed(1)} GB/s`],
    ['arithmetic', `pairwise ${arithmetic.pairwise}, concat ${arithmetic.concat}`],
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
  const most = backends.find(({ backend }) => backend === 'native')?.rates.at(-1)?.nodesPerSecond;
  const started = backends.filter(({ reason }) => reason === undefined);
  const rows = started.flatMap((diagnosis) =>
    diagnosis.rates.map(({ threads, nodesPerSecond, gflops }, index) => [
      index === 0 ? nameOf(diagnosis) : '',
      String(threads),
      count(nodesPerSecond),
      gflops.toFixed(1),
      most === undefined ? '' : (nodesPerSecond / most).toFixed(2),
    ]),
  );
  const measured = table([['back-end', 'threads', 'nodes/s', 'GFLOP/s', 'of native'], ...rows]);
  const missing = backends.filter(({ reason }) => reason !== undefined);
  if (missing.length === 0) return measured;
  const reasons = list(missing.map((diagnosis) => [nameOf(diagnosis), diagnosis.reason ?? '']));
  return `${measured}\n\nnot here (docs/gpu.md tells how to get them):\n${reasons}`;
}

function conclusion({ auto, backends }: Diagnosis): string {
  const why = 'It takes CUDA, else WebGPU on a real GPU, else native.';
  if (!auto) return `--backend auto finds nothing that starts here. ${why}`;
  const taken = `--backend auto takes ${nameOf(auto)} here`;
  const faster = fastest(backends);
  const same = faster && faster.backend === auto.backend && (!auto.provider || faster.provider === auto.provider);
  return `${same || !faster ? taken : `${taken}; the fastest is ${nameOf(faster)}`}. ${why}`;
}

function fastest(backends: readonly BackendDiagnosis[]): BackendDiagnosis | undefined {
  const best = ({ rates }: BackendDiagnosis) => Math.max(0, ...rates.map(({ nodesPerSecond }) => nodesPerSecond));
  return backends.toSorted((a, b) => best(b) - best(a)).at(0);
}

function nameOf({ backend, provider, software }: Pick<BackendDiagnosis, 'backend' | 'provider' | 'software'>): string {
  const where = software ? `${provider}, software` : provider;
  return where === undefined ? backend : `${backend} (${where})`;
}

function threadsOf(threads: number): string {
  return threads === 1 ? '1 thread' : `${count(threads)} threads`;
}
