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
  // Labels are node ids or cluster numbers nearly always, so a table does; a map serves whatever else a file holds.
  return lowest >= -1 && highest <= 4 * labels.length + 1024
    ? relabelByTable(labels, highest + 1)
    : relabelByMap(labels);
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

function relabelByMap(labels: Int32Array): number {
  const renamed = new Map<number, number>();
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label === -1) continue;
    let name = renamed.get(label);
    if (name === undefined) {
      name = renamed.size;
      renamed.set(label, name);
    }
    labels[i] = name;
  }
  return renamed.size;
}

/** Clusters of labels that are numbered from 0: how many, of how many nodes, and nodes without one. */
export function countClusters(labels: Int32Array) {
  let clusters = 0;
  let unlabelled = 0;
  for (const id of labels) {
    if (id < 0) unlabelled++;
    else if (id >= clusters) clusters = id + 1;
  }
  const sizes = new Int32Array(clusters);
  for (const id of labels) if (id >= 0) sizes[id]++;
  let singletons = 0;
  let largest = 0;
  for (const size of sizes) {
    if (size === 1) singletons++;
    if (size > largest) largest = size;
  }
  return { clusters, singletons, unlabelled, largest };
}
