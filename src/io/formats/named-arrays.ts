/** Files that hold arrays by name: one contract for `.npz`, safetensors and, with one nameless array, `.npy`. */
import { NaanError } from '../../errors.js';
import type { Input } from '../input-file.js';
import { mayBeIdentities, usualItemTitles } from '../item-list.js';
import { itemsOfArray, labelsOfArray } from '../label-arrays.js';
import { locateMatrix } from '../locate-matrix.js';
import { oneLine, quoted } from '../messages.js';
import { checkNumbers, type StoredArray } from '../stored-array.js';
import type { Format, Sniffed } from './format.js';

/** Arrays of a file by name, in its order; each is looked at only when it is asked for. */
export type NamedArrays = ReadonlyMap<string, () => Promise<StoredArray>>;

/** Names that people give to what a file holds. The first is the documented one, and wins over the others. */
const usualNames = {
  features: ['embs', 'embeddings', 'features', 'feats', 'X', 'x', 'arr_0'],
  graph: ['knn', 'data', 'nbrs', 'I', 'indices', 'neighbors', 'neighbours'],
  labels: ['labels', 'label', 'y', 'ids', 'identities', 'identity', 'targets', 'target'],
};

const maxListed = 20;

export function arrayFormat(
  name: string,
  claims: (file: Sniffed) => boolean,
  list: (path: string) => Promise<NamedArrays>,
): Format {
  const find = async (input: Input, usual: readonly string[]) => choose(input, await list(input.path), usual);
  return {
    name,
    claims,
    features: async (input) => locateMatrix(checkNumbers(await find(input, usualNames.features))),
    graph: async (input) => checkNumbers(await find(input, usualNames.graph)),
    labels: async (input) => labelsOfArray(await find(input, usualNames.labels)),
    labelsBeside: async (path) => {
      const arrays = await list(path);
      const named = usualNames.labels.some((usual) => arrays.has(usual));
      return named ? labelsOfArray(await choose({ path }, arrays, usualNames.labels)) : undefined;
    },
    items: async (input) => {
      const array = await find(input, usualItemTitles);
      const items = itemsOfArray(array);
      if (items) return items;
      const got = `shape (${array.shape}), dtype ${quoted(array.dtype)}`;
      throw new NaanError('BAD_INPUT', `${array.source.name}: ${got}, expected items [n] as text or integers`);
    },
    itemsBeside: async (path) => {
      const arrays = await list(path);
      for (const name of usualItemTitles) {
        // What is no array that can be read is no list of names: nobody has asked for it.
        const array = await arrays
          .get(name)?.()
          .catch(() => undefined);
        const items = array && itemsOfArray(array);
        if (items) return { ...items, mayBeIdentities: mayBeIdentities(name) };
      }
      return undefined;
    },
    array: async (input, usual) => checkNumbers(await find(input, [usual])),
  };
}

/** The array that the input names, else the only one, else the one that goes by a usual name. Throws BAD_INPUT. */
async function choose({ path, member }: Input, arrays: NamedArrays, usual: readonly string[]): Promise<StoredArray> {
  const present = usual.filter((name) => arrays.has(name));
  const clear = present[0] === usual[0] || present.length === 1 ? present[0] : undefined;
  const chosen = member ?? (arrays.size === 1 ? [...arrays.keys()][0] : clear);
  const open = chosen === undefined ? undefined : arrays.get(chosen);
  if (open) return open();
  const others = usual.length > 1 ? ' or of another usual name' : '';
  const lacking = `has no array ${member === undefined ? quoted(usual[0]) + others : quoted(member)}`;
  const problem =
    chosen === undefined && present.length > 1 ? `${present.map(quoted).join(' and ')} could be meant` : lacking;
  const found = await describe(arrays);
  throw new NaanError('BAD_INPUT', `${path}: ${problem}, found: ${found}: name one as ${oneLine(path)}:NAME`);
}

/** Names, shapes and types, for a message. */
async function describe(arrays: NamedArrays): Promise<string> {
  const described: string[] = [];
  for (const [name, open] of arrays) {
    if (described.length === maxListed) {
      described.push(`and ${arrays.size - maxListed} more`);
      break;
    }
    described.push(await describeArray(name, open));
  }
  return described.join(', ') || 'none';
}

async function describeArray(name: string, open: () => Promise<StoredArray>): Promise<string> {
  try {
    const { shape, dtype } = await open();
    return `${name && `${quoted(name)} `}(${shape}) ${oneLine(dtype)}`;
  } catch {
    return `${quoted(name)} that cannot be read`;
  }
}
