/** The settings that `naan tune` varies. A dimension more is a line more in `dimensions`. */
import { availableCores } from '../cgroup.js';
import type { LabelOptions } from '../jobs/label.js';

type Value = number | string;

interface Dimension {
  readonly name: string;
  /** The first is what `naan label` takes by itself. */
  readonly values: readonly Value[];
  /** The option of the engine, for a set of so many nodes. */
  readonly option: (value: Value, nodeCount: number) => Value;
}

const cores = availableCores();
const same = (value: Value): Value => value;

/**
 * Shards are tried by their size, since so many shards are other shards in a sample than in the whole set: `auto`, or
 * nodes a shard. Samples fit in memory, so `auto` is float32 there.
 */
export const dimensions = [
  { name: 'threads', values: [...new Set([cores, half(cores), half(half(cores))])], option: same },
  { name: 'batch', values: [512, 128, 256, 1024, 2048], option: same },
  { name: 'shards', values: ['auto', 1024, 4096], option: shardsOf },
  { name: 'precision', values: ['auto', 'bf16'], option: same },
] as const satisfies readonly Dimension[];

export type DimensionName = (typeof dimensions)[number]['name'];
/** A value of each dimension. */
export type Setting = Readonly<Record<DimensionName, Value>>;
/** The options of `naan label` that a setting becomes. */
export type SettingOptions = Pick<LabelOptions, DimensionName>;

/** Every setting: the defaults first, then those that differ from them in one value, then in two … */
export function grid(): Setting[] {
  let settings: Record<string, Value>[] = [{}];
  for (const { name, values } of dimensions) {
    settings = settings.flatMap((setting) => values.map((value) => ({ ...setting, [name]: value })));
  }
  const all = settings as unknown as Setting[];
  return all.toSorted((a, b) => changes(a) - changes(b));
}

/** The number of values in which a setting differs from the defaults. */
export function changes(setting: Setting): number {
  return dimensions.filter(({ name, values }) => setting[name] !== values[0]).length;
}

/** The options that mean this setting for a set of so many nodes. */
export function optionsOf(setting: Setting, nodeCount: number): SettingOptions {
  return Object.fromEntries(dimensions.map(({ name, option }) => [name, option(setting[name], nodeCount)]));
}

export function nameOf(setting: Setting): string {
  return dimensions.map(({ name }) => `${name} ${setting[name]}`).join(', ');
}

function shardsOf(size: Value, nodeCount: number): Value {
  return typeof size === 'number' ? Math.ceil(nodeCount / size) : size;
}

function half(count: number): number {
  return Math.max(1, count >> 1);
}
