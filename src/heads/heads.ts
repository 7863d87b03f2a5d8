/** All heads. */
import type { Head } from '../engine/head.js';
import type { ModelConfig, NaanModel } from '../model/model.js';
import { concatHead } from './concat/head.js';
import { pairwiseHead } from './pairwise/head.js';

export type HeadName = ModelConfig['head'];

export const heads: Readonly<Record<HeadName, Head>> = {
  concat: concatHead,
  pairwise: pairwiseHead,
};

export const headNames = Object.keys(heads) as HeadName[];

export function headOf({ config }: NaanModel): Head {
  return heads[config.head];
}
