/** Agreement of pseudo-labels with true identities. */
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import { bcubed } from './bcubed.js';
import { type Contingency, contingency, withoutSingletons } from './contingency.js';
import { nmi } from './nmi.js';
import { pairwise } from './pairwise.js';
import type { PrecisionRecall } from './precision-recall.js';
import { purity } from './purity.js';

export interface EvaluateOptions {
  /**
   * Rows labelled −1: `alone` (default), each in a cluster by itself; `cluster`, all of them in one, as the code
   * published with NAAN counts; `drop`, not counted.
   */
  readonly unlabelled?: 'alone' | 'cluster' | 'drop';
}

export interface Agreement {
  readonly bcubed: PrecisionRecall;
  readonly pairwise: PrecisionRecall;
  readonly nmi: number;
}

export interface Evaluation {
  readonly all: Agreement;
  /** Agreement over the rows that are not alone in their cluster. All zeros when there are none. */
  readonly withoutSingletons: Agreement;
  /** Share of rows alone in their cluster, 0..1. */
  readonly discardRatio: number;
  /** Labels that occur, and those that only one row has. A row labelled −1 that is counted alone is neither. */
  readonly clusters: number;
  readonly singletons: number;
  readonly identities: number;
  readonly purity: number;
}

/**
 * Compares pseudo-labels with true identities, predicted and truth [n]: any integers. Rows of truth −1 (not known) are
 * left out first, so that everything, cluster sizes too, is about the other rows. O(n) time and memory.
 * Throws BAD_SHAPE when lengths differ, BAD_INPUT when no row is left to compare.
 */
export function evaluate(predicted: Int32Array, truth: Int32Array, options: EvaluateOptions = {}): Evaluation {
  if (predicted.length !== truth.length) {
    throw new NaanError('BAD_SHAPE', `labels: got ${predicted.length} rows, expected ${truth.length} as in the truth`);
  }
  const unlabelled = options.unlabelled ?? 'alone';
  const known = (_: number, row: number) => truth[row] !== -1 && (unlabelled !== 'drop' || predicted[row] !== -1);
  const clusterOf = predicted.filter(known);
  const identityOf = truth.filter(known);
  if (clusterOf.length === 0) {
    throw new NaanError('BAD_INPUT', `labels: of ${truth.length} rows none has a label and a true identity to compare`);
  }
  const labelCount = relabel(clusterOf);
  const clusterCount = placeUnlabelled(clusterOf, labelCount, unlabelled === 'cluster');
  const table = contingency(clusterOf, clusterCount, identityOf, relabel(identityOf));
  const alone = table.clusterSizes.reduce((count, size) => count + (size === 1 ? 1 : 0), 0);
  const unlabelledAlone = unlabelled === 'alone' ? clusterCount - labelCount : 0;
  return {
    all: agreement(table),
    withoutSingletons: agreement(withoutSingletons(table)),
    discardRatio: alone / table.rowCount,
    clusters: clusterCount - unlabelledAlone,
    singletons: alone - unlabelledAlone,
    identities: table.identitySizes.length,
    purity: purity(table),
  };
}

/** Gives rows labelled −1 a cluster: one for all of them, or one each. Returns the number of clusters. */
function placeUnlabelled(clusterOf: Int32Array, labelCount: number, together: boolean): number {
  let clusterCount = labelCount;
  for (let row = 0; row < clusterOf.length; row++) {
    if (clusterOf[row] !== -1) continue;
    clusterOf[row] = together ? labelCount : clusterCount;
    clusterCount = clusterOf[row] + 1;
  }
  return clusterCount;
}

function agreement(table: Contingency): Agreement {
  return { bcubed: bcubed(table), pairwise: pairwise(table), nmi: nmi(table) };
}
