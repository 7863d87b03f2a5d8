/** All heads. */
import type { Head } from '../engine/head.js';
import type { ModelConfig, NaanModel } from '../model/model.js';
import { concatHead } from './concat/head.js';
import { pairwiseHead } from './pairwise/head.js';

const heads: Readonly<Record<ModelConfig['head'], Head>> = {
  concat: concatHead,
  pairwise: pairwiseHead,
};

export function headOf({ config }: NaanModel): Head {
  return heads[config.head];
}
