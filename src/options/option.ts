/**
 * One option: enough to parse it, check it, show it in help and document it.
 * Values arrive as text (flags, environment) or as YAML values; a schema takes both and is strict about either.
 * zod is handed in so that listing options does not load it.
 */
import type { ZodType, z } from 'zod';

export type Zod = typeof z;

export interface Option<T = unknown> {
  readonly help: string;
  /** The unit or kind of the value: `nodes`, `file`, `1..65535`. */
  readonly unit: string;
  readonly default?: T;
  /** The behaviour when nobody gives a value and there is no default. */
  readonly otherwise?: string;
  readonly required?: true;
  /** Given as an argument without a flag: `naan import-model CHECKPOINT`. */
  readonly positional?: true;
  /** The name of the value after the flag, as help prints it; a switch has none. */
  readonly placeholder?: string;
  /** Completes "expected …" in an error. */
  readonly expected: string;
  readonly schema: (zod: Zod) => ZodType<T>;
}

export type Options = Readonly<Record<string, Option>>;

type ValueOf<O> = O extends { schema: (zod: Zod) => ZodType<infer T> } ? T : never;
type AlwaysThere<O> = {
  [K in keyof O]: O[K] extends { required: true } | { default: unknown } ? K : never;
}[keyof O];

/** The values of a set of options: required ones and ones with a default are always there. */
export type Values<O> = Readonly<
  { [K in AlwaysThere<O>]: ValueOf<O[K]> } & { [K in Exclude<keyof O, AlwaysThere<O>>]?: ValueOf<O[K]> }
>;

type Description<T> = Pick<Option<T>, 'help' | 'default' | 'otherwise' | 'required' | 'positional'>;
type Range = { readonly min?: number; readonly max?: number; readonly unit: string };

export function integer<const D extends Description<number> & Range>(described: D): Option<number> & D {
  const expected = `an integer${inRange(described)}`;
  return { ...described, expected, placeholder: '<n>', schema: (zod) => number(zod, described, true) };
}

export function decimal<const D extends Description<number> & Range>(described: D): Option<number> & D {
  const expected = `a number${inRange(described)}`;
  return { ...described, expected, placeholder: '<x>', schema: (zod) => number(zod, described, false) };
}

/** Two integers: `--k-hops 20 10`, `NAAN_K_HOPS="20 10"`, `k-hops: [20, 10]`. */
export function integerPair<const D extends Description<readonly [number, number]> & Range>(
  described: D,
): Option<readonly [number, number]> & D {
  const schema = (zod: Zod) => {
    const split = zod.string().transform((text) => text.trim().split(/[\s,]+/));
    const one = number(zod, described, true);
    return zod.union([zod.array(zod.unknown()), split]).pipe(zod.tuple([one, one]));
  };
  return { ...described, expected: `two integers${inRange(described)}`, placeholder: '<n...>', schema };
}

/** One or more integers: `--devices 0,1`, `NAAN_DEVICES="0 1"`, `devices: [0, 1]`. */
export function integerList<const D extends Description<readonly number[]> & Range>(
  described: D,
): Option<readonly number[]> & D {
  const schema = (zod: Zod) => listOf(zod, number(zod, described, true));
  return { ...described, expected: `integers${inRange(described)}`, placeholder: '<n...>', schema };
}

/** One or more numbers: `--threshold 0.5,0.6`, `threshold: [0.5, 0.6]`. */
export function decimalList<const D extends Description<readonly number[]> & Range>(
  described: D,
): Option<readonly number[]> & D {
  const schema = (zod: Zod) => listOf(zod, number(zod, described, false));
  return { ...described, expected: `numbers${inRange(described)}`, placeholder: '<x...>', schema };
}

function listOf(zod: Zod, one: ZodType<number>) {
  const parts = (value: unknown) => (typeof value === 'string' ? value.trim().split(/[\s,]+/) : value);
  const list = zod
    .unknown()
    .transform((value) => (Array.isArray(value) ? value.flatMap(parts) : [parts(value)].flat()));
  return list.pipe(zod.array(one).min(1).max(64));
}

/** An integer, or the word `auto`. */
export function integerOrAuto<const D extends Description<number | 'auto'> & Range>(
  described: D,
): Option<number | 'auto'> & D {
  const schema = (zod: Zod) => zod.union([zod.literal('auto'), number(zod, described, true)]);
  return { ...described, expected: `auto or an integer${inRange(described)}`, placeholder: '<n>', schema };
}

const sizes: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** An amount of memory: `16GiB`, `800M`, or bytes. */
export function byteCount<const D extends Description<number>>(described: D): Option<number> & D & { unit: 'bytes' } {
  const schema = (zod: Zod) =>
    zod.union([
      zod.int().min(1),
      zod
        .string()
        .regex(/^\s*\d+(\.\d+)?\s*([kmgt]?)(i?b)?\s*$/i)
        .transform((text) => {
          const [, amount, unit] = /([\d.]+)\s*([kmgt]?)/i.exec(text)!;
          return Math.floor(Number(amount) * sizes[unit.toLowerCase()]);
        })
        .pipe(zod.int().min(1)),
    ]);
  return { ...described, unit: 'bytes', expected: 'an amount such as 16GiB, 800M', placeholder: '<size>', schema };
}

export function choice<const C extends string, const D extends Description<C>>(
  choices: readonly C[],
  described: D,
): Option<C> & D {
  const unit = choices.join(' | ');
  return {
    ...described,
    unit,
    expected: choices.join(', '),
    placeholder: '<name>',
    schema: (zod) => zod.enum(choices),
  };
}

export function path<const D extends Description<string> & { unit: 'file' | 'folder' }>(
  described: D,
): Option<string> & D {
  const schema = (zod: Zod) => zod.string().min(1);
  return { ...described, expected: `the path of a ${described.unit}`, placeholder: `<${described.unit}>`, schema };
}

/**
 * One or more files that are one set, in their order: `--features a.npy b.npy`, or the option again. The value is one text, a file a
 * line, as `expandInput` takes it.
 */
export function paths<const D extends Description<string> & { unit: 'files' }>(described: D): Option<string> & D {
  const schema = (zod: Zod) => {
    const one = zod.string().min(1);
    return zod.union([
      one,
      zod
        .array(one)
        .min(1)
        .transform((files) => files.join('\n')),
    ]);
  };
  return { ...described, expected: 'paths of files', placeholder: '<file...>', schema };
}

/** A name of something within a file. */
export function name<const D extends Description<string> & { unit: string }>(described: D): Option<string> & D {
  const schema = (zod: Zod) => zod.string().min(1);
  return { ...described, expected: 'a name', placeholder: '<name>', schema };
}

/** A text that a pattern describes. `expected` completes "expected …". */
export function text<const D extends Description<string> & { unit: string; expected: string }>(
  described: D,
  pattern: RegExp,
): Option<string> & D {
  return { ...described, placeholder: `<${described.unit}>`, schema: (zod) => zod.string().regex(pattern) };
}

/** A time: 90, `90s` or `2min`. */
export function seconds<const D extends Description<number> & Omit<Range, 'unit'>>(
  described: D,
): Option<number> & D & { unit: 'seconds' } {
  const expected = `seconds${inRange(described)}, or minutes as 2min`;
  const inSeconds = (given: unknown): unknown => {
    const [, amount, unit] = /^(.*?) *(s|min)?$/s.exec(String(given))!;
    return numeral.test(amount) ? Number(amount) * (unit === 'min' ? 60 : 1) : given;
  };
  const schema = (zod: Zod) =>
    zod
      .unknown()
      .transform(inSeconds)
      .pipe(number(zod, described, false));
  return { ...described, unit: 'seconds', expected, placeholder: '<time>', schema };
}

/** A switch, off unless described otherwise: `--save-edges` and `--no-save-edges`. */
export function flag<const D extends Description<boolean>>(described: D): Option<boolean> & D & { default: boolean } {
  const schema = (zod: Zod) => zod.union([zod.boolean(), zod.stringbool()]);
  return { default: false, ...described, unit: 'yes | no', expected: 'yes or no', schema };
}

const numeral = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

function number(zod: Zod, { min, max }: Omit<Range, 'unit'>, whole: boolean): ZodType<number> {
  let range = whole ? zod.int() : zod.number();
  if (min !== undefined) range = range.min(min);
  if (max !== undefined) range = range.max(max);
  return zod.union([zod.number(), zod.string().regex(numeral).transform(Number)]).pipe(range);
}

function inRange({ min, max }: Omit<Range, 'unit'>): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return `, ${min} or more`;
  return '';
}
