/** The stored cases that clustering and evaluation are checked against, read from the repository root. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type CandidateEdges, edgesFromPairs } from '../../src/graph/candidate-edges.js';
import { readFloat32Array, readInt32Array } from '../../src/io/arrays.js';
import { readLabels } from '../../src/io/labels.js';

const fixtures = path.resolve('test/fixtures');
const published = path.resolve('../shared/fixtures/omniglot_published');
const publishedIdentities = path.resolve('../shared/data/omniglot_longtail/split1_labels.txt');

/** Names of the cases that are always there: those of a scored set of features, and a planted graph. */
export const modelCaseNames = ['one_head', 'four_heads', 'wide'] as const;
export const caseNames = [...modelCaseNames, 'propagation'] as const;

/** The case that is too large to keep here, and its true identities: undefined where they are absent. */
export const publishedFolder = existsSync(published) ? published : undefined;
export const publishedTruth = existsSync(publishedIdentities) ? publishedIdentities : undefined;

export interface ScoredGraph {
  readonly edges: CandidateEdges;
  /** [e × 2], as stored. */
  readonly pairs: Int32Array;
  readonly scores: Float32Array;
  // biome-ignore lint/suspicious/noExplicitAny: a stored document, its shape is told in the fixtures' README
  readonly expected: any;
}

export async function readCase(nameOrFolder: string): Promise<ScoredGraph> {
  const folder = path.resolve(fixtures, nameOrFolder);
  const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8'));
  const { data: pairs } = await readInt32Array(path.join(folder, 'edges.npy'));
  const { data: pairScores } = await readFloat32Array(path.join(folder, 'scores.npy'));
  const { edges, scores } = scoredEdges(expected.nodes, pairs, pairScores);
  return { edges, pairs, scores, expected };
}

export async function readTruth(name: string): Promise<Int32Array> {
  return (await readLabels(path.join(fixtures, name, 'labels.txt'))).codes;
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

export type Link = readonly [a: number, b: number, score: number];

/** CSR of links between nodes, with their scores in its order. */
export function edgesOfLinks(nodeCount: number, links: readonly Link[]) {
  return scoredEdges(
    nodeCount,
    links.flatMap((link) => link.slice(0, 2)),
    links.map(([, , score]) => score),
  );
}
