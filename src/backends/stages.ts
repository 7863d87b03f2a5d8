/**
 * The stages that back-ends compute, as data: which arrays of a tile each reads and writes. What moves tiles to a device and
 * back, and what probes a back-end, follows from these tables.
 *
 * Shapes: d features, p = d padded to a multiple of 4, M heads, w list width.
 */
import type { FactoredModel } from '../model/factored.js';
import { featureCount } from '../model/pairwise.js';
import type { RoundNetworks } from '../model/round-network.js';
import type {
  BackendModel,
  ConcatTile,
  KnnColumns,
  KnnTile,
  PairwiseTile,
  TileCapacity,
  TileMemory,
} from './backend.js';

/** Numbers in one line of each of some arrays. */
export type Lines<Name extends string = string> = Readonly<Partial<Record<Name, number>>>;

interface StageLayout<Name extends string = string> {
  /** The kind of one line of the stage: `count` of them are computed at once. */
  readonly unit: 'nodes' | 'edges';
  /** Arrays that the stage reads a line of for each node or edge. */
  readonly own: Lines<Name>;
  /** Arrays that it reads lines of by their number: column c of `by` names lines of `groups[c]`, later ones of the last. */
  readonly named?: {
    /** Line numbers, −1 for none, `columns` for each node or edge. */
    readonly by: Name;
    readonly columns: number;
    readonly groups: readonly Lines<Name>[];
  };
  /** Arrays that it writes a line of for each node or edge. */
  readonly out: Lines<Name>;
}

export interface TileLayout<Stage extends string = string, Tile extends TileMemory = TileMemory> {
  readonly capacity: TileCapacity;
  /** Type and length of each array. */
  readonly arrays: Readonly<Record<keyof Tile & string, readonly ['float32' | 'int32', number]>>;
  readonly stages: Readonly<Record<Stage, StageLayout<keyof Tile & string>>>;
}

export const concatStages = ['project', 'aggregate', 'embed', 'split', 'score'] as const;
export type ConcatStage = (typeof concatStages)[number];

export function concatLayout(model: FactoredModel, capacity: TileCapacity): TileLayout<ConcatStage, ConcatTile> {
  const { dim, paddedDim: p } = model;
  const { nodes, rows, width, edges } = capacity;
  const M = model.heads.length;
  const attention = { by: 'lists', columns: width, groups: [{ rows: M * p, rowT: M }] } as const;
  const ends = { by: 'pairs', columns: 2, groups: [{ left: p }, { rows: p }] } as const;
  return {
    capacity,
    arrays: {
      x: ['float32', nodes * dim],
      rows: ['float32', rows * M * p],
      rowT: ['float32', rows * M],
      s: ['float32', nodes * M],
      lists: ['int32', nodes * width],
      h: ['float32', nodes * M * p],
      t: ['float32', nodes * M],
      centres: ['float32', nodes * p],
      left: ['float32', nodes * p],
      right: ['float32', nodes * p],
      pairs: ['int32', 2 * edges],
      scores: ['float32', edges],
    },
    stages: {
      project: { unit: 'nodes', own: { x: dim }, out: { h: M * p, s: M, t: M } },
      aggregate: { unit: 'nodes', own: { s: M }, named: attention, out: { h: M * p, t: M } },
      embed: { unit: 'nodes', own: { s: M }, named: attention, out: { centres: p } },
      split: { unit: 'nodes', own: { centres: p }, out: { left: p, right: p } },
      score: { unit: 'edges', own: {}, named: ends, out: { scores: 1 } },
    },
  };
}

/** The network of a round. */
export type NetworkStage = `network${number}`;

export function roundOf(stage: NetworkStage): number {
  return Number(stage.slice('network'.length));
}

export function pairwiseLayout(
  { rounds }: RoundNetworks,
  capacity: TileCapacity,
): TileLayout<NetworkStage, PairwiseTile> {
  const { edges } = capacity;
  const network = (_: unknown, round: number): [NetworkStage, StageLayout<keyof PairwiseTile>] => [
    `network${round}`,
    { unit: 'edges', own: { features: featureCount(round) }, out: { logits: 1 } },
  ];
  return {
    capacity,
    arrays: { features: ['float32', edges * featureCount(rounds.length - 1)], logits: ['float32', edges] },
    stages: Object.fromEntries(rounds.map(network)),
  };
}

export function knnLayout({ columns, listed }: KnnColumns, capacity: TileCapacity): TileLayout<'nearest', KnnTile> {
  const { dim } = columns;
  const { nodes } = capacity;
  return {
    capacity,
    arrays: {
      x: ['float32', nodes * dim],
      ids: ['int32', nodes * listed],
      similarities: ['float32', nodes * listed],
      sums: ['float32', nodes],
    },
    stages: { nearest: { unit: 'nodes', own: { x: dim }, out: { ids: listed, similarities: listed, sums: 1 } } },
  };
}

export function layoutOf(model: BackendModel, capacity: TileCapacity): TileLayout {
  if ('columns' in model) return knnLayout(model, capacity);
  return 'rounds' in model ? pairwiseLayout(model, capacity) : concatLayout(model, capacity);
}

/** Names and widths, of a set of lines. */
export function linesOf(lines: Lines): { name: string; columns: number }[] {
  return Object.entries(lines as Lines).map(([name, columns = 0]) => ({ name, columns }));
}
