/**
 * Labels to train on: rows alone in their cluster become −1 (there is nothing to learn that they are the same as). The
 * other clusters are renumbered by first appearance, or keep their names. One label a row, as in the input, so that row i
 * is still row i.
 */
import { relabel } from '../cluster/relabel.js';
import type { Labels } from '../io/label-codes.js';

export function cleanLabels({ codes, names }: Labels): Labels {
  const clusters = codes.slice();
  const sizes = new Int32Array(relabel(clusters));
  for (let row = 0; row < clusters.length; row++) if (clusters[row] !== -1) sizes[clusters[row]]++;
  const cleaned = names === undefined ? clusters.slice() : codes.slice();
  for (let row = 0; row < cleaned.length; row++) if (sizes[clusters[row]] === 1) cleaned[row] = -1;
  if (names !== undefined) return { codes: cleaned, names };
  relabel(cleaned);
  return { codes: cleaned };
}
