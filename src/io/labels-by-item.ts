/** Two files of labels whose rows have names, in any order: which row of the one is which of the other. */
import type { Items } from './item-list.js';
import { itemsBeside, readItems } from './items.js';
import type { Labels } from './label-codes.js';
import { TextIndex, type TextList } from './text-list.js';

export interface Matching {
  /** The true label of each row of the labels [n]; −1 where it has none, or is not to be counted. */
  readonly truth: Int32Array;
  /** Items that both have, and those that only one has. */
  readonly matched: number;
  readonly onlyInLabels: number;
  readonly onlyInTruth: number;
  /** Items that one of the files gives two labels. They are not counted. */
  readonly ambiguous: number;
}

/** A file of labels and, if it says them, the names of its rows. */
export interface NamedLabels {
  readonly labels: Labels;
  readonly items: Items;
}

/** The names of the rows of two files of labels; undefined unless both have them. */
export async function itemsOfBoth(labels: string, truth: string): Promise<readonly [Items, Items] | undefined> {
  const [first, second] = [await itemsBeside(labels, 'labels'), await itemsBeside(truth, 'labels')];
  return first && second ? [first, second] : undefined;
}

/**
 * Finds the true label of each row by its name. Where both files have the same names in the same order they are matched
 * row by row, so that a name may occur again; else a name that occurs again counts once, and not at all with two labels.
 */
export async function matchByItem(labels: NamedLabels, truth: NamedLabels): Promise<Matching> {
  const [given, known] = [await readItems(labels.items), await readItems(truth.items)];
  if (sameNames(given, known)) {
    const { codes } = truth.labels;
    return { truth: codes, matched: codes.length, onlyInLabels: 0, onlyInTruth: 0, ambiguous: 0 };
  }
  const givenFirst = new TextIndex(given);
  const knownFirst = new TextIndex(known);
  const contradicted = new Uint8Array(given.length);
  for (const row of givenFirst.repeated) {
    const first = givenFirst.find(given.bytes(row));
    if (labels.labels.codes[first] !== labels.labels.codes[row]) contradicted[first] = 1;
  }
  for (const row of knownFirst.repeated) {
    const first = knownFirst.find(known.bytes(row));
    if (truth.labels.codes[first] === truth.labels.codes[row]) continue;
    const at = givenFirst.find(known.bytes(row));
    if (at >= 0) contradicted[at] = 1;
  }
  const isRepeated = new Uint8Array(given.length);
  for (const row of givenFirst.repeated) isRepeated[row] = 1;
  const codes = new Int32Array(given.length).fill(-1);
  let matched = 0;
  let onlyInLabels = 0;
  let ambiguous = 0;
  for (let row = 0; row < given.length; row++) {
    if (isRepeated[row]) continue;
    const at = knownFirst.find(given.bytes(row));
    if (at < 0) onlyInLabels++;
    else matched++;
    if (contradicted[row]) ambiguous++;
    else if (at >= 0) codes[row] = truth.labels.codes[at];
  }
  const onlyInTruth = known.length - knownFirst.repeated.length - matched;
  return { truth: codes, matched, onlyInLabels, onlyInTruth, ambiguous };
}

function sameNames(one: TextList, other: TextList): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (!one.bytes(i).equals(other.bytes(i))) return false;
  return true;
}
