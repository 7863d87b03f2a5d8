/** Selects the images of a set, and the labels that they get. */
import { createHash } from 'node:crypto';
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { type Labels, nameOf } from '../io/label-codes.js';
import { TextIndex, type TextList } from '../io/text-list.js';
import type { Part } from './dataset.js';

/** Labels and the names of their rows. */
export interface Labelled {
  readonly labels: Labels;
  readonly items: TextList;
  /** 1 for each label whose cluster is trusted too little to be taken [labels]. */
  readonly untrusted?: Uint8Array | undefined;
}

export interface Selection {
  /** Clusters of fewer images are left out. */
  readonly minSize: number;
  readonly maxPerIdentity: number;
  /** The first label. */
  readonly offset: number;
  /** Share of the identities that go to `val`. */
  readonly split: number;
}

/** Rows that are in no part, by the reason. */
export interface LeftOut {
  /** Label −1. */
  readonly unlabelled: number;
  /** Rows in clusters that are trusted too little. */
  readonly untrusted: number;
  /** Rows in clusters smaller than `minSize`. */
  readonly small: number;
  /** Beyond `maxPerIdentity`. */
  readonly capped: number;
  /** The same item once more, and items that have two labels. */
  readonly repeated: number;
  readonly contradicted: number;
  /** Rows that the set merged with has already, with their identity. */
  readonly known: number;
}

interface Source {
  readonly items: TextList;
  /** Identity of each row, numbered over both sources; −1 for rows that are left out. */
  readonly identities: Int32Array;
}

/**
 * Identities of `merged` come first, then clusters of `found`, each in the order in which they occur. Identities of `train`
 * are numbered from `offset` on, those of `val` behind them. Which ones are in `val` is said by a hash of the name of each, so
 * it is the same in every run. `fileOf` says where an item lies.
 */
export function selectImages(
  found: Labelled,
  merged: Labelled | undefined,
  selection: Selection,
  fileOf: (item: string) => string,
): { readonly parts: readonly Part[]; readonly leftOut: LeftOut } {
  const counts = { unlabelled: 0, untrusted: 0, small: 0, capped: 0, repeated: 0, contradicted: 0, known: 0 };
  const names: string[] = [];
  const sources: Source[] = [];
  let index: TextIndex | undefined;
  for (const { labels, items, untrusted } of merged ? [merged, found] : [found]) {
    const codes = labels.codes.slice();
    const known = index;
    index = new TextIndex(items);
    leaveOutUnlabelled(codes, counts);
    leaveOutRepeated(codes, items, index, counts);
    if (untrusted) leaveOutUntrusted(codes, untrusted, counts);
    if (known) leaveOutKnown(codes, items, known, counts);
    const identities = codes.slice();
    const count = relabel(identities);
    const first = names.length;
    for (let row = 0; row < codes.length; row++) {
      if (identities[row] === names.length - first) names.push(nameOf(labels, codes[row]));
      if (identities[row] >= 0) identities[row] += first;
    }
    if (labels === found.labels) leaveOutSmall(identities, first, count, selection.minSize, counts);
    sources.push({ items, identities });
  }
  leaveOutBeyond(sources, names.length, selection.maxPerIdentity, counts);
  const parts = partsOf(sources, names, selection, fileOf);
  if (parts.length > 0) return { parts, leftOut: counts };
  throw new NaanError(
    'BAD_INPUT',
    `no image is left to export: of ${found.items.length} rows ${describeLeftOut(counts)}`,
  );
}

type Counts = { -readonly [K in keyof LeftOut]: number };

/** `12 have no label, 3 are in clusters that are too small`. */
export function describeLeftOut(counts: LeftOut): string {
  const reasons: [number, string][] = [
    [counts.unlabelled, 'have no label'],
    [counts.untrusted, 'are in clusters of too little trust'],
    [counts.small, 'are in clusters that are too small'],
    [counts.capped, 'are beyond the most of an identity'],
    [counts.repeated, 'are an item once more'],
    [counts.contradicted, 'are items with two labels'],
    [counts.known, 'are in the set that is merged with'],
  ];
  const told = reasons.filter(([count]) => count > 0).map(([count, reason]) => `${count} ${reason}`);
  return told.join(', ') || 'none were left out';
}

function leaveOutUnlabelled(codes: Int32Array, counts: Counts): void {
  for (const code of codes) if (code === -1) counts.unlabelled++;
}

function leaveOutUntrusted(codes: Int32Array, untrusted: Uint8Array, counts: Counts): void {
  for (let row = 0; row < codes.length; row++) {
    if (codes[row] === -1 || untrusted[codes[row]] === 0) continue;
    codes[row] = -1;
    counts.untrusted++;
  }
}

function leaveOutRepeated(codes: Int32Array, items: TextList, index: TextIndex, counts: Counts): void {
  const contradicted = new Set<number>();
  for (const row of index.repeated) {
    const first = index.find(items.bytes(row));
    if (codes[row] === -1) continue;
    if (codes[first] === -1 && !contradicted.has(first)) {
      codes[first] = codes[row];
      counts.unlabelled--;
      counts.repeated++;
    } else if (codes[row] === codes[first]) {
      counts.repeated++;
    } else {
      counts.contradicted++;
      contradicted.add(first);
    }
    codes[row] = -1;
  }
  for (const row of contradicted) {
    if (codes[row] !== -1) counts.contradicted++;
    codes[row] = -1;
  }
}

function leaveOutKnown(codes: Int32Array, items: TextList, known: TextIndex, counts: Counts): void {
  for (let row = 0; row < codes.length; row++) {
    if (codes[row] === -1 || known.find(items.bytes(row)) < 0) continue;
    codes[row] = -1;
    counts.known++;
  }
}

function leaveOutSmall(identities: Int32Array, first: number, count: number, minSize: number, counts: Counts): void {
  const sizes = new Int32Array(count);
  for (const identity of identities) if (identity >= 0) sizes[identity - first]++;
  for (let row = 0; row < identities.length; row++) {
    if (identities[row] < 0 || sizes[identities[row] - first] >= minSize) continue;
    identities[row] = -1;
    counts.small++;
  }
}

/** The first images of an identity stay. */
function leaveOutBeyond(sources: readonly Source[], identityCount: number, most: number, counts: Counts): void {
  const kept = new Int32Array(identityCount);
  for (const { identities } of sources) {
    for (let row = 0; row < identities.length; row++) {
      const identity = identities[row];
      if (identity < 0 || ++kept[identity] <= most) continue;
      identities[row] = -1;
      counts.capped++;
    }
  }
}

function partsOf(
  sources: readonly Source[],
  names: readonly string[],
  { offset, split }: Selection,
  fileOf: (item: string) => string,
): Part[] {
  const sizes = new Int32Array(names.length);
  for (const { identities } of sources) for (const identity of identities) if (identity >= 0) sizes[identity]++;
  const isVal = Uint8Array.from(names, (name) => (split > 0 && shareOf(name) < split ? 1 : 0));
  const parts: Part[] = [];
  let firstLabel = offset;
  for (const [val, name] of (['train', 'val'] as const).entries()) {
    const labelOf = new Int32Array(names.length).fill(-1);
    const starts: number[] = [];
    let count = 0;
    for (let identity = 0; identity < names.length; identity++) {
      if (isVal[identity] !== val || sizes[identity] === 0) continue;
      labelOf[identity] = starts.length;
      starts.push(count);
      count += sizes[identity];
    }
    if (count === 0) continue;
    if (firstLabel + starts.length > 2 ** 31) {
      throw new NaanError('BAD_USAGE', `offset ${offset}: labels would reach 2³¹, expected a smaller offset`);
    }
    const labels = new Int32Array(count);
    const rows = new Int32Array(count);
    const from = new Uint8Array(count);
    for (const [source, { identities }] of sources.entries()) {
      for (let row = 0; row < identities.length; row++) {
        const label = identities[row] < 0 ? -1 : labelOf[identities[row]];
        if (label < 0) continue;
        const place = starts[label]++;
        labels[place] = firstLabel + label;
        rows[place] = row;
        from[place] = source;
      }
    }
    const item = (i: number) => sources[from[i]].items.at(rows[i]);
    const identities = starts.length;
    parts.push({ name, count, identities, firstLabel, labels, item, file: (i) => fileOf(item(i)) });
    firstLabel += identities;
  }
  return parts;
}

/** The first 32 bits of SHA-256 of a name, in [0, 1). */
function shareOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32;
}
