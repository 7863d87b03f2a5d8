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

/** p of seconds = c · nodes^p, by least squares of the logarithms. */
export function exponent(points: readonly { readonly nodes: number; readonly seconds: number }[]): number | undefined {
  if (points.length < 2) return undefined;
  const x = points.map(({ nodes }) => Math.log(nodes));
  const y = points.map(({ seconds }) => Math.log(seconds));
  const [meanX, meanY] = [x, y].map((all) => all.reduce((sum, value) => sum + value, 0) / all.length);
  const shared = x.reduce((sum, xi, i) => sum + (xi - meanX) * (y[i] - meanY), 0);
  return shared / x.reduce((sum, xi) => sum + (xi - meanX) ** 2, 0);
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
