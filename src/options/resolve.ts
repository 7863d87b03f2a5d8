/**
 * Turns what the user gave into one frozen value: defaults < config file < environment < flags.
 * Nothing else in the project reads the environment or the arguments.
 */
import { NaanError } from '../errors.js';
import { quoted } from '../io/messages.js';
import { readConfigFile } from './config-file.js';
import { didYouMean, environmentName, environmentPrefix, flagName, keyName } from './names.js';
import type { Option, Options, Values, Zod } from './option.js';
import { type CommandName, type CommandValues, commands, commonOptions, optionsOf } from './table.js';

/** A value and its origin: `from` is the flag, the variable, or the key and its file. */
interface Given {
  readonly value: unknown;
  readonly from: string;
}

export interface Sources {
  /** Flags and arguments that were given, by option. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Resolved<C extends CommandName> {
  readonly values: CommandValues[C] & Values<typeof commonOptions>;
  /** Notices for the user, such as variables that are no options. */
  readonly notices: readonly string[];
  /** The origin of each value: `default`, `NAAN_THREADS`, `--threads`, `threads in naan.yaml`. */
  readonly origins: Readonly<Record<string, string>>;
  /** The password of a Redis. It is no option: flags are seen by others, and values are logged and kept. */
  readonly clusterPassword: string | undefined;
}

const passwordVariable = `${environmentPrefix}CLUSTER_PASSWORD`;

/** Throws BAD_USAGE that names the source, the value and what was expected. */
export async function resolve<C extends CommandName>(command: C, sources: Sources): Promise<Resolved<C>> {
  const { z } = await import('zod');
  const options = optionsOf(command);
  const flags = fromFlags(options, sources.flags);
  const notices: string[] = [];
  const environment = fromEnvironment(options, sources.environment, (notice) => notices.push(notice));
  const config = flags.config ?? environment.config;
  const file = config ? await fromFile(command, check(z, commonOptions.config, config)) : {};

  const values: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, option] of Object.entries(options)) {
    const given = flags[name] ?? environment[name] ?? file[name];
    if (given) values[name] = check(z, option, given);
    else if (option.required) throw missing(name, option);
    else if (option.default !== undefined) values[name] = option.default;
    origins[name] = given?.from ?? 'default';
  }
  return Object.freeze({
    values: Object.freeze(values),
    origins: Object.freeze(origins),
    notices,
    clusterPassword: sources.environment[passwordVariable],
  }) as unknown as Resolved<C>;
}

function fromFlags(options: Options, flags: Sources['flags']): Record<string, Given> {
  const given: Record<string, Given> = {};
  for (const [name, value] of Object.entries(flags)) {
    const from = options[name].positional ? name : flagName(name);
    if (value !== undefined) given[name] = { value, from };
  }
  return given;
}

/** Variables that are no options are left alone, and told: in a Kubernetes pod a service called naan makes some. */
function fromEnvironment(
  options: Options,
  environment: Sources['environment'],
  tell: (notice: string) => void,
): Record<string, Given> {
  const known = new Map(everyOption().map((name) => [environmentName(name), name]));
  const given: Record<string, Given> = {};
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(environmentPrefix) || value === undefined || variable === passwordVariable) continue;
    const name = known.get(variable);
    if (name === undefined) {
      const hint = didYouMean(variable, known.keys());
      tell(`environment variable ${variable} is not an option${hint}: not used`);
      continue;
    }
    if (name in options) given[name] = { value, from: variable };
  }
  return given;
}

async function fromFile(command: CommandName, path: string): Promise<Record<string, Given>> {
  const known = new Map(everyOption().map((name) => [keyName(name), name]));
  known.delete('config');
  const options = optionsOf(command);
  const given: Record<string, Given> = {};
  for (const [key, value] of Object.entries(await readConfigFile(path))) {
    const name = known.get(key);
    if (name === undefined) {
      throw new NaanError(
        'BAD_USAGE',
        `config file ${path}: ${quoted(key)} is not an option${didYouMean(key, known.keys())}`,
      );
    }
    if (name in options) given[name] = { value, from: `${key} in ${path}` };
  }
  return given;
}

/** Options of all commands: one config file or environment may serve several. */
function everyOption(): string[] {
  const names = Object.values(commands).flatMap(({ options }) =>
    Object.entries<Option>(options).flatMap(([name, option]) => (option.positional ? [] : [name])),
  );
  return [...new Set([...names, ...Object.keys(commonOptions)])];
}

function check<T>(zod: Zod, option: Option<T>, { value, from }: Given): T {
  const parsed = option.schema(zod).safeParse(value);
  if (parsed.success) return parsed.data;
  const got = Array.isArray(value) ? value.join(' ') : String(value);
  throw new NaanError('BAD_USAGE', `${from}: got ${quoted(got)}, expected ${option.expected}`);
}

function missing(name: string, option: Option): NaanError {
  const ways = option.positional ? name.toUpperCase() : `${flagName(name)} (or ${environmentName(name)})`;
  return new NaanError('BAD_USAGE', `${ways} is missing: ${option.help}`);
}

/** The options that were given, by the keys of a config file: `--config` takes them again. */
export function configOf(values: object, origins: Readonly<Record<string, string>>): Record<string, unknown> {
  const given = Object.entries(values).filter(([name]) => name !== 'config' && origins[name] !== 'default');
  return Object.fromEntries(given.map(([name, value]) => [keyName(name), value]));
}
