/** Names and limits of the partitions, apart from what computes them: help is printed sooner without that. */

/** From the one to take when nothing tells them apart: what joins by means before what a single edge decides. */
export const partitions = ['linkage', 'threshold', 'propagation'] as const;
export type Partition = (typeof partitions)[number];

/** Most rounds of the ladder of `propagation`: each takes memory, and far fewer are left once a threshold can rise no more. */
export const mostRounds = 100_000;
