/**
 * The YAML file of `--config`, read within bounds that no file of options comes near. They are looked for before it is
 * parsed: a parser that calls itself for each level, and compares each key with all others, ends on what nests or grows
 * without end only after the stack, or minutes.
 */
import { closeSync, constants, existsSync, fstatSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NaanError } from '../errors.js';
import { readSome } from '../io/input-file.js';
import { systemReason } from '../system-error.js';

const mostBytes = 2 ** 16;
const maxLevels = 50;
const maxKeys = 1000;
const maxAliases = 100;

/** Files that come with naan, such as `naan-paper`, by their name without `.yaml`. */
const presets = new URL('../../../config/', import.meta.url);

/** The path of a file or, where there is none and the name has no folder, of a preset. */
function pathOf(name: string): string {
  if (existsSync(name) || !/^[\w-]+$/.test(name)) return name;
  const preset = fileURLToPath(new URL(`${name}.yaml`, presets));
  return existsSync(preset) ? preset : name;
}

/**
 * Values by key: of the file at `name`, of a preset of that name, or of the run that a run.json records. Throws BAD_USAGE.
 */
export async function readConfigFile(name: string): Promise<Record<string, unknown>> {
  const path = pathOf(name);
  const refused = (what: string, cause?: unknown) =>
    new NaanError('BAD_USAGE', `config file ${path}: ${what}`, { cause });
  const text = readText(path, refused);
  const { parse, Lexer } = await import('yaml');
  const extent = extentOf(new Lexer().lex(text));
  if (extent.levels > maxLevels)
    throw refused(`nests more than ${maxLevels} levels, expected lines of 'option: value'`);
  if (extent.keys > maxKeys) throw refused(`has more than ${maxKeys} keys, expected lines of 'option: value'`);
  if (extent.aliases > maxAliases) throw refused(`has more than ${maxAliases} aliases`);
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' }) ?? {};
  } catch (error) {
    // The parser quotes what it stumbled on, however long.
    const [reason] = (error as Error).message.split('\n');
    throw refused(reason.length > 300 ? `${reason.slice(0, 300)}…` : reason.replace(/:$/, ''), error);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw refused("expected lines of 'option: value'");
  }
  const values = content as Record<string, unknown>;
  return isRun(values) ? (values.config as Record<string, unknown>) : values;
}

/** Whether the content is that of a run.json, whose options are under `config`. */
function isRun({ naan, config }: Record<string, unknown>): boolean {
  return typeof naan === 'string' && typeof config === 'object' && config !== null;
}

type Refused = (what: string, cause?: unknown) => NaanError;

function readText(path: string, refused: Refused): string {
  let file: number | undefined;
  try {
    // A pipe that nobody writes to would block.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = fstatSync(file);
    if (!stats.isFile()) throw refused('is not a plain file');
    const bytes = readSome(file, 0, mostBytes + 1, path);
    if (bytes.length > mostBytes) throw refused(`has more than ${mostBytes} bytes, expected lines of 'option: value'`);
    return Buffer.from(bytes).toString('utf8');
  } catch (error) {
    const reason = systemReason(error);
    throw reason === undefined ? error : refused(reason, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

interface Extent {
  /** Collections that are open at once, at the most. */
  readonly levels: number;
  readonly keys: number;
  readonly aliases: number;
}

/** From the tokens of a YAML text. A line opens a level by standing further to the right, and by each indicator on it. */
function extentOf(tokens: Iterable<string>): Extent {
  let [levels, keys, aliases] = [0, 0, 0];
  let inBrackets = 0;
  let onLine = 0;
  let lineStarts = true;
  const indents: number[] = [];
  let scalar = false;
  for (const token of tokens) {
    const isText = scalar;
    scalar = token === scalarFollows;
    if (isText || scalar) {
      lineStarts = false;
      continue;
    }
    if (token === '\n' || token === '\r\n') {
      lineStarts = true;
      onLine = 0;
      continue;
    }
    if (lineStarts && !/^[#\r]/.test(token)) {
      const indent = token[0] === ' ' ? token.length : 0;
      while ((indents.at(-1) ?? -1) >= indent) indents.pop();
      indents.push(indent);
      lineStarts = false;
    }
    if (token === '[' || token === '{') inBrackets++;
    else if (token === ']' || token === '}') inBrackets--;
    else if (/^([-?:]$|[&!])/.test(token)) onLine++;
    if (token === ':') keys++;
    if (token[0] === '*') aliases++;
    levels = Math.max(levels, inBrackets + onLine + indents.length);
  }
  return { levels, keys, aliases };
}

/** The character that the lexer puts before the text of a scalar. */
const scalarFollows = '\x1f';
