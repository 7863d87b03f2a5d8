/** Names of rows as readers give them, and how people call them. */

/** Some thousand names, the first of them that of row `first`. */
export type VisitNames = (names: readonly string[], first: number) => void | Promise<void>;

/** One name a row, read from its file each time, so that a million of them need not be in memory. */
export interface Items {
  /** The file they are in, for messages. */
  readonly name: string;
  /** How many there are; reads the file where it does not say. Throws BAD_INPUT, naming the row that has none. */
  count(): Promise<number>;
  /** Visits all in order. */
  each(visit: VisitNames): Promise<void>;
  /** Their column may as well hold identities: they are names only where each row has its own. */
  readonly mayBeIdentities?: boolean;
}

/**
 * Titles of columns, and names of arrays, that people give to the names of rows. The last two may as well be identities.
 */
export const usualItemTitles: readonly string[] = [
  'item',
  'items',
  'path',
  'paths',
  'file',
  'files',
  'filename',
  'filenames',
  'image',
  'images',
  'id',
  'ids',
];

export function mayBeIdentities(title: string): boolean {
  return title === 'id' || title === 'ids';
}
