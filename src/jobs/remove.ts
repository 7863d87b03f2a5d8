/** Removes rows from a labelled set so that the new run has no trace of them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DisjointSet } from '../cluster/disjoint-set.js';
import { NaanError } from '../errors.js';
import { type Decision, type Item, inForce, readDecisions } from '../io/decisions.js';
import { openItems, readItems } from '../io/items.js';
import { quoted } from '../io/messages.js';
import { writeOutput } from '../io/output-file.js';
import { TextIndex } from '../io/text-list.js';
import { cannotLinkOf, type NextRunOptions, type NextRunResult, nextRun, openRun, removeBegun } from './next-run.js';
import type { PreviousRun } from './previous-run.js';

export interface RemoveOptions extends NextRunOptions {
  /** File of the names of the rows to remove; of their numbers, where the run has no names. */
  readonly items: string;
  /** Decisions to honour, and to free of what is removed; default: those of the run. */
  readonly constraints?: string | undefined;
}

const decisionsName = 'decisions.jsonl';
/** All lines of a long file in one text would be more than V8 takes. */
const linesAtOnce = 4096;

/**
 * Writes a run of the other rows of `run` to `out`. Throws as `add`, and BAD_INPUT for a name that no row has, or where no row would be left.
 */
export async function remove(options: RemoveOptions): Promise<NextRunResult> {
  const { out, run, onNotice } = options;
  const opened = await openRun(options);
  const { facts, previous } = opened;
  const gone = await rowsToRemove(previous, options);
  const stays = previous.labels.map((_, row) => row).filter((row) => gone[row] === 0);
  if (stays.length === 0) throw new NaanError('BAD_INPUT', `${options.items}: names all rows, expected some to stay`);
  const honoured = options.constraints ?? (facts.constraints as string | undefined);
  const beside = join(run, decisionsName);
  const source = honoured ?? (existsSync(beside) ? beside : undefined);
  const constraints = join(out, decisionsName);
  try {
    if (source !== undefined) {
      const decisions = await decisionsWithout(source, previous, gone, stays, onNotice);
      await writeOutput(constraints, async (file) => {
        for (let first = 0; first < decisions.length; first += linesAtOnce) {
          const some = decisions.slice(first, first + linesAtOnce);
          await file.write(Buffer.concat(some.map((decision) => Buffer.from(`${JSON.stringify(decision)}\n`))));
        }
      });
    }
    return await nextRun(
      opened,
      { stays, constraints: honoured === undefined ? undefined : constraints },
      { ...options, cannotLinkWithin: cannotLinkOf(facts, options.cannotLinkWithin) },
    );
  } catch (error) {
    removeBegun(out);
    throw error;
  }
}

/** 1 for each row of the run that is to go [n]; all rows of a name that several have. */
async function rowsToRemove({ labels, items }: PreviousRun, { items: file, run }: RemoveOptions): Promise<Uint8Array> {
  const gone = new Uint8Array(labels.length);
  const wanted = await readItems(await openItems(file));
  if (items === undefined) {
    for (let i = 0; i < wanted.length; i++) {
      const row = Number(wanted.at(i));
      if (!(Number.isInteger(row) && row >= 0 && row < labels.length)) {
        const expected = `expected numbers of rows, 0 to ${labels.length - 1}, as ${run} has no names`;
        throw new NaanError('BAD_INPUT', `${file}: got ${quoted(wanted.at(i))}, ${expected}`);
      }
      gone[row] = 1;
    }
    return gone;
  }
  const index = new TextIndex(wanted);
  const found = new Uint8Array(wanted.length);
  await items.each((names, first) => {
    names.forEach((name, i) => {
      const at = index.find(Buffer.from(name));
      if (at < 0) return;
      found[at] = 1;
      gone[first + i] = 1;
    });
  });
  for (const again of index.repeated) found[again] = 1;
  const missing = found.indexOf(0);
  if (missing < 0) return gone;
  throw new NaanError('BAD_INPUT', `${file}: ${run} has no row of the name ${quoted(wanted.at(missing))}`);
}

/**
 * The decisions that count, about the rows that stay. What was decided through a row that goes holds on: one that stays and is the same
 * identity, by those decisions, stands for it; where there is none, nothing is left to say.
 */
async function decisionsWithout(
  path: string,
  { items }: PreviousRun,
  gone: Uint8Array,
  stays: Int32Array,
  onNotice: ((message: string) => void) | undefined,
): Promise<Decision[]> {
  const decisions = inForce(await readDecisions(path, onNotice));
  const numberOf = new Map(Array.from(stays, (row, i) => [row, i] as const));
  const goneNames = new Set<string>();
  await items?.each((names, first) => {
    names.forEach((name, i) => {
      if (gone[first + i] === 1) goneNames.add(name);
    });
  });
  const leaves = (item: Item) => (typeof item === 'number' ? gone[item] === 1 : goneNames.has(item));
  // The decisions that are left are of other rows: what fits none of these is told of the file that has it.
  const check = (item: Item, line: number): void => {
    if (typeof item === 'number' && item >= gone.length) {
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: names row ${item}, expected 0 to ${gone.length - 1}`);
    }
    if (typeof item === 'string' && items === undefined) {
      const problem = `names ${quoted(item)}, but the rows have no names: give their numbers`;
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: ${problem}`);
    }
  };
  const places = new Map<Item, number>();
  const byPlace: Item[] = [];
  const placeOf = (item: Item): number => {
    const known = places.get(item);
    if (known !== undefined) return known;
    places.set(item, byPlace.length);
    return byPlace.push(item) - 1;
  };
  for (const decision of decisions) {
    for (const item of [...decision.items, ...((decision.kind === 'different' && decision.from) || [])]) {
      check(item, decision.line);
      placeOf(item);
    }
  }
  const sets = new DisjointSet(byPlace.length);
  const named = new Map<string, number>();
  for (const decision of decisions) {
    if (decision.kind === 'different') continue;
    const [first, ...others] = decision.items.map(placeOf);
    for (const other of others) sets.unite(first, other);
    if (decision.kind !== 'name') continue;
    sets.unite(first, named.get(decision.name) ?? first);
    named.set(decision.name, first);
  }
  const standsFor = new Map<number, Item>();
  byPlace.forEach((item, place) => {
    const root = sets.find(place);
    if (!leaves(item) && !standsFor.has(root)) standsFor.set(root, item);
  });
  const replaced = (list: readonly Item[]): Item[] => {
    const others = list.map((item) => (leaves(item) ? standsFor.get(sets.find(placeOf(item))) : item));
    const left = others.filter((item) => item !== undefined);
    return [...new Set(left.map((item) => (typeof item === 'number' ? (numberOf.get(item) ?? item) : item)))];
  };
  return decisions.flatMap(({ line: _, ...decision }): Decision[] => {
    const list = replaced(decision.items);
    if (decision.kind !== 'different') return list.length > 0 ? [{ ...decision, items: list }] : [];
    if (decision.from === undefined) return list.length > 1 ? [{ ...decision, items: list }] : [];
    const from = replaced(decision.from);
    return list.length > 0 && from.length > 0 ? [{ ...decision, items: list, from }] : [];
  });
}
