/** The parts that every plan of memory has, and how a plan is told. */
import { gib } from './available.js';

/** Bytes in memory at the peak, by what they are for. */
export type MemoryParts = Readonly<Record<string, number>>;

/** Measured: Node with a command of naan loaded, and what a thread with ONNX Runtime adds to what it allocates itself. */
export const processBytes = 130 * 2 ** 20;
export const threadBytes = 30 * 2 ** 20;

export function sumOf(parts: MemoryParts): number {
  return Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
}

/** The parts in GiB, such as `graph 0.1, edges 2.0`. */
export function describeParts(parts: MemoryParts): string {
  return Object.entries(parts)
    .map(([name, bytes]) => `${name} ${gib(bytes)}`)
    .join(', ');
}
