/** What every bench does with its figures: prints them and keeps them in bench/results with command, versions and machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { bestSimdLevel } from '../src/kernels/kernels.js';
import { version } from '../src/version.js';

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
}

export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)], least: sorted[0], greatest: sorted[sorted.length - 1] };
}

/** Writes bench/results/<name>.json, and prints it unless told not to; fractions are kept to four digits. */
export function report(name: string, figures: Readonly<Record<string, unknown>>, print = true): void {
  const command = ['node', `dist/bench/${basename(process.argv[1])}`, ...process.argv.slice(2)].join(' ');
  const [cpu] = cpus();
  const machine = { cpu: cpu.model, cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30) };
  const versions = { naan: version, node: process.version, simd: bestSimdLevel() };
  const digits = (_: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
  const text = JSON.stringify({ command, ...figures, versions, machine }, digits, 2);
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(join('bench', 'results', `${name}.json`), text + '\n');
  if (print) console.log(text);
}
