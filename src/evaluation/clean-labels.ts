/**
 * Labels to train on: rows alone in their cluster become −1 (there is nothing to learn that they are the same as), the
 * other clusters are renumbered by first appearance. One label a row, as in the input, so that row i is still row i.
 */
import { relabel } from '../cluster/relabel.js';

export function cleanLabels(labels: Int32Array): Int32Array {
  const cleaned = labels.slice();
  const sizes = new Int32Array(relabel(cleaned));
  for (let row = 0; row < cleaned.length; row++) if (cleaned[row] !== -1) sizes[cleaned[row]]++;
  for (let row = 0; row < cleaned.length; row++) if (sizes[cleaned[row]] === 1) cleaned[row] = -1;
  relabel(cleaned);
  return cleaned;
}
