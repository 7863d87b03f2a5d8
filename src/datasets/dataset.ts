/** A labelled set as its writers see it, and what a writer is. */
import type { WrittenFile } from '../io/output-record.js';

/** The images of one part of the set, ordered by label. */
export interface Part {
  readonly name: 'train' | 'val';
  readonly count: number;
  readonly identities: number;
  /** Labels run from this one on without a gap. */
  readonly firstLabel: number;
  /** Label of image i; rising. */
  readonly labels: Int32Array;
  /** Name of image i. */
  item(i: number): string;
  /** The file of image i. */
  file(i: number): string;
}

/** The settings of a writer besides the images. */
export interface Destination {
  /** Folder to write to. It has nothing else in it, and takes its name when all is written. */
  readonly folder: string;
  /** Image folders: whether images are linked to, copied, or only named in plan.csv. */
  readonly files: 'link' | 'copy' | 'plan';
  /** Lists what was written, for the manifest. */
  readonly written: WrittenFile[];
  /** A writer calls this every few images: it reports progress and lets other work go on. Throws CANCELLED after an abort. */
  readonly advance: (part: Part, done: number) => Promise<void>;
  readonly onNotice: (message: string) => void;
}

export interface DatasetWriter {
  /** The name that `--to` gives it. */
  readonly name: string;
  /** Writes one part of the set. */
  write(part: Part, destination: Destination): Promise<void>;
}
