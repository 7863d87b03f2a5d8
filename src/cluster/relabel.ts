/**
 * Renumbers labels by first appearance, in place: the first label met becomes 0, the next new one 1, and so on. Two
 * partitions are the same exactly when their renumbered labels are. −1 ("none") stays −1.
 * `labels` [n], any int32. Returns the number of clusters.
 */
export function relabel(labels: Int32Array): number {
  let highest = -1;
  let lowest = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] > highest) highest = labels[i];
    if (labels[i] < lowest) lowest = labels[i];
  }
  // Labels are node ids or cluster numbers nearly always, so a table does; sorting serves whatever else a file holds.
  return lowest >= -1 && highest <= 4 * labels.length + 1024
    ? relabelByTable(labels, highest + 1)
    : relabelBySort(labels);
}

function relabelByTable(labels: Int32Array, size: number): number {
  const renamed = new Int32Array(size).fill(-1);
  let count = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label < 0) continue;
    if (renamed[label] < 0) renamed[label] = count++;
    labels[i] = renamed[label];
  }
  return count;
}

/** Sorts pairs of label and place, as a Map holds no more than 2²⁴ labels. */
function relabelBySort(labels: Int32Array): number {
  const pairs = new BigUint64Array(labels.length);
  const words = new Int32Array(pairs.buffer); // the place, then the label, which is compared first
  for (let i = 0; i < labels.length; i++) {
    words[2 * i] = i;
    words[2 * i + 1] = labels[i];
  }
  pairs.sort();
  // Each label is replaced by the place where it appears first, then by its name.
  for (let at = 0, first = 0; at < words.length; at += 2) {
    if (at === 0 || words[at + 1] !== words[at - 1]) first = words[at];
    if (words[at + 1] !== -1) labels[words[at]] = first;
  }
  let count = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] !== -1) labels[i] = labels[i] === i ? count++ : labels[labels[i]];
  }
  return count;
}

/** Labels as clusters: of each row, numbered by first appearance, −1 for none [n]; of each cluster its label and its rows. */
export function clustersOf(labels: Int32Array): { clusterOf: Int32Array; ids: Int32Array; sizes: Int32Array } {
  const clusterOf = labels.slice();
  const count = relabel(clusterOf);
  const [ids, sizes] = [new Int32Array(count), new Int32Array(count)];
  for (let row = 0; row < labels.length; row++) {
    const cluster = clusterOf[row];
    if (cluster >= 0 && sizes[cluster]++ === 0) ids[cluster] = labels[row];
  }
  return { clusterOf, ids, sizes };
}

/** Clusters of labels that are numbered from 0, perhaps with gaps: how many, of how many nodes, and nodes without one. */
export function countClusters(labels: Int32Array) {
  let ids = 0;
  let unlabelled = 0;
  for (const id of labels) {
    if (id < 0) unlabelled++;
    else if (id >= ids) ids = id + 1;
  }
  const sizes = new Int32Array(ids);
  let clusters = 0;
  for (const id of labels) if (id >= 0) sizes[id]++;
  let singletons = 0;
  let largest = 0;
  for (const size of sizes) {
    if (size > 0) clusters++;
    if (size === 1) singletons++;
    if (size > largest) largest = size;
  }
  return { clusters, singletons, unlabelled, largest };
}
