/**
 * The stages that a back-end computes, as data: which arrays of a tile each reads and writes. What moves tiles to a device
 * and back, and what probes a back-end, follows from this table.
 *
 * Shapes: d features, p = d padded to a multiple of 4, M heads, w list width.
 */
import type { TileCapacity, TileMemory } from './backend.js';

/** What the size of a tile depends on of the model. */
export interface TileShape {
  readonly dim: number;
  readonly paddedDim: number;
  readonly heads: { readonly length: number };
}

type ArraysOf<T> = { [K in keyof TileMemory]: TileMemory[K] extends T ? K : never }[keyof TileMemory];

/** Numbers in one line of an array. */
type Columns = (shape: TileShape) => number;
export type Lines = Readonly<Partial<Record<ArraysOf<Float32Array>, Columns>>>;

export interface StageLayout {
  /** What one line of the stage is: `count` of them are computed at once. */
  readonly unit: 'nodes' | 'edges';
  /** Arrays that the stage reads a line of for each node or edge. */
  readonly own: Lines;
  /** Arrays that it reads lines of by their number: column c of `by` names lines of `groups[c]`, later ones of the last. */
  readonly named?: {
    /** Line numbers, −1 for none, as many for each node or edge as there are columns. */
    readonly by: ArraysOf<Int32Array>;
    readonly columns: (capacity: TileCapacity) => number;
    readonly groups: readonly Lines[];
  };
  /** Arrays that it writes a line of for each node or edge. */
  readonly out: Lines;
}

const one: Columns = () => 1;
const features: Columns = ({ dim }) => dim;
const row: Columns = ({ paddedDim }) => paddedDim;
const ofHeads: Columns = ({ heads }) => heads.length;
const rowOfHeads: Columns = ({ heads, paddedDim }) => heads.length * paddedDim;

const attention = {
  by: 'lists',
  columns: ({ width }: TileCapacity) => width,
  groups: [{ rows: rowOfHeads, rowT: ofHeads }],
} as const;

export const tileStages = ['project', 'aggregate', 'embed', 'split', 'score'] as const;
export type TileStage = (typeof tileStages)[number];

export const stageLayouts: Readonly<Record<TileStage, StageLayout>> = {
  project: { unit: 'nodes', own: { x: features }, out: { h: rowOfHeads, s: ofHeads, t: ofHeads } },
  aggregate: { unit: 'nodes', own: { s: ofHeads }, named: attention, out: { h: rowOfHeads, t: ofHeads } },
  embed: { unit: 'nodes', own: { s: ofHeads }, named: attention, out: { centres: row } },
  split: { unit: 'nodes', own: { centres: row }, out: { left: row, right: row } },
  score: {
    unit: 'edges',
    own: {},
    named: { by: 'pairs', columns: () => 2, groups: [{ left: row }, { rows: row }] },
    out: { scores: one },
  },
};

/** Arrays and their widths, of a set of lines. */
export function linesOf(lines: Lines, shape: TileShape): { name: keyof Lines; columns: number }[] {
  return Object.entries(lines).map(([name, columns]) => ({ name: name as keyof Lines, columns: columns(shape) }));
}
