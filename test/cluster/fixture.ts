/** The stored cases that clustering and evaluation are checked against, read from the repository root. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type CandidateEdges, edgesFromPairs } from '../../src/graph/candidate-edges.js';

const fixtures = path.resolve('test/fixtures');
const published = path.resolve('../shared/fixtures/omniglot_published');

/** Names of the cases that are always there: those of a scored set of features, and a planted graph. */
export const modelCaseNames = ['one_head', 'four_heads', 'wide'] as const;
export const caseNames = [...modelCaseNames, 'propagation'] as const;

/** The case that is too large to keep here: its folder, or undefined where it is absent. */
export const publishedFolder = existsSync(published) ? published : undefined;

export interface ScoredGraph {
  readonly edges: CandidateEdges;
  /** [e × 2], as stored. */
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
  // biome-ignore lint/suspicious/noExplicitAny: a stored document, its shape is told in the fixtures' README
  readonly expected: any;
}

export function readCase(nameOrFolder: string): ScoredGraph {
  const folder = path.resolve(fixtures, nameOrFolder);
  const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8'));
  const pairs = readIntegers(path.join(folder, 'edges.npy'));
  const { edges, scores } = scoredEdges(expected.nodes, pairs, readFloats(path.join(folder, 'scores.npy')));
  return { edges, pairs, scores, expected };
}

export function readTruth(name: string): Int32Array {
  return Int32Array.from(
    readFileSync(path.join(fixtures, name, 'labels.txt'), 'utf8')
      .trim()
      .split('\n'),
    Number,
  );
}

/** CSR of `pairs` [e × 2] with the scores [e] in its order. */
export function scoredEdges(
  nodeCount: number,
  pairs: ArrayLike<number>,
  pairScores: ArrayLike<number>,
): { edges: CandidateEdges; scores: Float32Array } {
  const { edges, place } = edgesFromPairs(nodeCount, pairs);
  const scores = new Float32Array(pairScores.length);
  for (let e = 0; e < scores.length; e++) scores[place[e]] = pairScores[e];
  return { edges, scores };
}

/** A .npy of int32 or int64. */
export function readIntegers(file: string): Int32Array {
  const { descr, bytes } = readNpy(file);
  if (descr === '<i4') return new Int32Array(bytes);
  if (descr === '<i8') return Int32Array.from(new BigInt64Array(bytes), Number);
  throw new Error(`${file}: ${descr}`);
}

function readFloats(file: string): Float32Array {
  const { descr, bytes } = readNpy(file);
  if (descr === '<f4') return new Float32Array(bytes);
  throw new Error(`${file}: ${descr}`);
}

function readNpy(file: string): { descr: string; bytes: ArrayBuffer } {
  const data = readFileSync(file);
  const headerEnd = 10 + data.readUInt16LE(8);
  const header = data.toString('latin1', 10, headerEnd);
  const descr = /'descr': '([^']+)'/.exec(header)?.[1] ?? '';
  if (!header.includes("'fortran_order': False")) throw new Error(`${file}: ${header}`);
  return { descr, bytes: new Uint8Array(data.subarray(headerEnd)).buffer };
}
