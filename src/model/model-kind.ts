/** The fields that all models have, and `ModelKind`, the description of one kind of model; there is one for each head. */
import type { AbsentPairs } from '../cluster/linkage.js';
import type { Partition } from '../cluster/partition.js';
import type { Metadata } from './metadata.js';
import type { SetProfile } from './set-profile.js';

/** F of both measures, and its standard deviation over resamples of the identities. */
export interface CalibrationRecord {
  readonly bcubed: { readonly f: number; readonly deviation: number };
  readonly pairwise: { readonly f: number; readonly deviation: number };
}

export interface CommonConfig {
  /** Candidate edges go to the first sampleHops neighbours. */
  readonly sampleHops: number;
  /** Calibrated in training, absent when the model was imported: the best partition and its score threshold, */
  readonly partition?: Partition;
  readonly threshold?: number;
  /** and the best threshold of every partition that was tried. */
  readonly thresholds?: Readonly<Partial<Record<Partition, number>>>;
  /** The weight of absent pairs at the threshold of `linkage`; in files from before there was a choice, `all`. */
  readonly absentPairs?: AbsentPairs;
  /** The quality of `partition` at `threshold` on identities held out. */
  readonly calibration?: CalibrationRecord;
  /** The set that it was trained on, in a few numbers; absent in files from before they were kept. */
  readonly trainedOn?: SetProfile;
  /** The origin of the model, free text by key. */
  readonly provenance: Readonly<Record<string, string>>;
}

export type NamedShape = [name: string, shape: number[]];

export interface ModelKind<Config extends CommonConfig & { readonly head: string }> {
  /** Names and shapes of the tensors that a model of this configuration must have, in file order. */
  tensors(config: Config): NamedShape[];
  /** The number of repeated parts, their name, and a lower bound of the number of tensors, computed without listing them. */
  size(config: Config): { readonly repeats: number; readonly of: string; readonly tensors: number };
  /** Its own settings, as the file keeps them. */
  metadata(config: Config): Readonly<Record<string, string>>;
  /** Reads what `metadata` wrote. Throws BAD_MODEL. */
  parse(metadata: Metadata): Omit<Config, keyof CommonConfig>;
}
