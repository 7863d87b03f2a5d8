/**
 * The knowledge of a set that training learns from. Labels say of any two identities that they are different ones. Decisions say less: rows
 * that nobody has joined may be one person all the same, so only what is known to be different is taken for it, and pairs of
 * which nothing is known are left out.
 */
import type { Constraints } from './constraints.js';

export interface Truth {
  /** Identity of each row, numbered by first appearance; −1 where nothing is known [n]. */
  readonly labels: Int32Array;
  /** Which identities are different ones; undefined where any two of them are. */
  readonly differences?: Differences | undefined;
}

/** Identities that are known to be different: those that hold different parts of one set. */
export class Differences {
  /**
   * Tags of identity y stand at offsets[y] .. offsets[y + 1]; a tag is a part of a set, and setOf [tags] says of which. Tags of an
   * identity rise with their sets, and it has one of a set at the most.
   */
  constructor(
    readonly offsets: Uint32Array,
    readonly tags: Int32Array,
    readonly setOf: Int32Array,
    readonly setCount: number,
  ) {}

  /** Whether identities a and b are known to be different. */
  between(a: number, b: number): boolean {
    const { offsets, tags, setOf } = this;
    const [endA, endB] = [offsets[a + 1], offsets[b + 1]];
    for (let i = offsets[a], j = offsets[b]; i < endA && j < endB; ) {
      const [s, t] = [tags[i], tags[j]];
      if (setOf[s] === setOf[t]) {
        if (s !== t) return true;
        i++;
        j++;
      } else if (setOf[s] < setOf[t]) i++;
      else j++;
    }
    return false;
  }
}

/** Of constraints on all rows. A row that is in no decision is of no known identity. */
export function truthOf({ firsts, lasts, offsets, sets, parts }: Constraints): Required<Truth> {
  const rowCount = firsts.length;
  const tagNumbers = new Map<number, Map<number, number>>();
  const setOf: number[] = [];
  const tagOf = (set: number, part: number): number => {
    let ofSet = tagNumbers.get(set);
    if (ofSet === undefined) {
      ofSet = new Map();
      tagNumbers.set(set, ofSet);
    }
    const known = ofSet.get(part);
    if (known !== undefined) return known;
    ofSet.set(part, setOf.length);
    return setOf.push(set) - 1;
  };
  /** Tags of each group, by its first row. */
  const tagsOf = new Map<number, Set<number>>();
  for (let row = 0; row < rowCount; row++) {
    for (let t = offsets[row]; t < offsets[row + 1]; t++) {
      const known = tagsOf.get(firsts[row]);
      const tag = tagOf(sets[t], parts[t]);
      if (known) known.add(tag);
      else tagsOf.set(firsts[row], new Set([tag]));
    }
  }
  const labels = new Int32Array(rowCount).fill(-1);
  const numbers = new Int32Array(rowCount).fill(-1);
  const starts: number[] = [0];
  const tags: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    const first = firsts[row];
    if (first === row && (lasts[row] !== row || tagsOf.has(row))) {
      numbers[row] = starts.length - 1;
      for (const tag of [...(tagsOf.get(row) ?? [])].sort((a, b) => setOf[a] - setOf[b])) tags.push(tag);
      starts.push(tags.length);
    }
    labels[row] = numbers[first];
  }
  // Sets are numbered by the order of their tags, so that arrays by set are as long as there are sets.
  const setNumbers = new Map([...tagNumbers.keys()].sort((a, b) => a - b).map((set, number) => [set, number]));
  const ofTags = Int32Array.from(setOf, (set) => setNumbers.get(set)!);
  const differences = new Differences(Uint32Array.from(starts), Int32Array.from(tags), ofTags, setNumbers.size);
  return { labels, differences };
}
