/** Candidate edges and their scores, as `naan label --save-edges` keeps them. */
import { NaanError } from '../errors.js';
import { readFloat32Array, readInt32Array } from './arrays.js';

export interface ScoredPairs {
  /** [E × 2], each pair once. */
  readonly pairs: Int32Array;
  /** [E]: the probability that both ends are one identity. */
  readonly scores: Float32Array;
}

/** Throws BAD_INPUT for what cannot be read or an end that is no node, BAD_SHAPE when the two do not fit together. */
export async function readScoredPairs(edgesPath: string, scoresPath: string, nodeCount?: number): Promise<ScoredPairs> {
  const pairs = await readPairs(edgesPath, nodeCount);
  const { shape, data: scores } = await readFloat32Array(scoresPath, 'scores');
  if (scores.length !== pairs.length / 2) {
    const expected = `expected ${pairs.length / 2} scores as ${edgesPath} has edges`;
    throw new NaanError('BAD_SHAPE', `${scoresPath}: shape (${shape}), ${expected}`);
  }
  return { pairs, scores };
}

/** Edges [E × 2] in one row after the other. Throws when an end is no node. */
async function readPairs(path: string, nodeCount = 2 ** 31 - 1): Promise<Int32Array> {
  const { shape, data } = await readInt32Array(path, 'edges');
  if (shape.length !== 2 || shape[1] !== 2) {
    throw new NaanError('BAD_SHAPE', `${path}: shape (${shape}), expected edges [E × 2]`);
  }
  const bad = data.findIndex((id) => id < 0 || id >= nodeCount);
  if (bad < 0) return data;
  const where = `${path}: row ${bad >> 1}: node ${data[bad]}`;
  throw new NaanError('BAD_INPUT', `${where} is out of range, expected 0..${nodeCount - 1}`);
}
