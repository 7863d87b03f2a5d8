/** What a kind of input file is to its readers. A format that cannot be something leaves that method out. */
import type { Input } from '../input-file.js';
import type { Items } from '../item-list.js';
import type { Labels } from '../label-codes.js';
import type { FeatureLocation } from '../matrix.js';
import type { StoredNumbers } from '../stored-array.js';

export interface Format {
  /** What messages call a file of it: `FILE is an .npz archive`, `expected an .npz archive`. */
  readonly name: string;
  /** What to do with a file that nothing here reads. */
  readonly advice?: string;
  /** Whether a file is one, by its bytes. */
  claims(file: Sniffed): boolean;
  /** Finds features [n × d]. `dim`: values a row, for a format that does not say. */
  features?(input: Input, dim: number | undefined): Promise<FeatureLocation>;
  /** Finds neighbour lists: [n × (k + 1)], or [n × 2 × k] with distances behind the ids. */
  graph?(input: Input): Promise<StoredNumbers>;
  /** Reads one label a row. */
  labels?(input: Input): Promise<Labels>;
  /** Reads the labels in a file of features, when it has any. */
  labelsBeside?(path: string): Promise<Labels | undefined>;
  /** Finds one name a row. */
  items?(input: Input): Promise<Items>;
  /** Finds the names of rows in a file of features or labels, when it declares any. */
  itemsBeside?(path: string): Promise<Items | undefined>;
  /** Finds an array of any other meaning, which goes by `name` unless the input says another. */
  array?(input: Input, name: string): Promise<StoredNumbers>;
}

/** A role that a file may be given for. */
export type Role = 'features' | 'graph' | 'labels' | 'items' | 'array';

/** A file as formats look at it. */
export interface Sniffed {
  readonly path: string;
  readonly size: number;
  /** The first bytes, up to 4096. */
  readonly start: Uint8Array;
  /** Reads bytes of any place; fewer where the file ends. */
  read(position: number, count: number): Uint8Array;
}
