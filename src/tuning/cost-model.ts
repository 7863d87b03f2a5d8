/**
 * A model of the time that a set of any size takes, from runs of two sizes or more: each stage costs something to start and something
 * for each node, t(n) = fixed + perNode · n.
 */

/** One run. */
export interface Timing {
  readonly nodes: number;
  /** Seconds from start to end, including those outside of all stages. */
  readonly seconds: number;
  readonly stages: Readonly<Record<string, number>>;
}

interface Cost {
  readonly fixed: number;
  readonly perNode: number;
}

export interface CostModel {
  /** Seconds outside the stages: threads that start. They do not grow with the set. */
  readonly start: number;
  readonly stages: Readonly<Record<string, Cost>>;
}

/** Needs at least one run; with runs of one size only, the stages are taken to cost nothing to start. */
export function fitCosts(timings: readonly Timing[]): CostModel {
  const names = Object.keys(timings[0].stages);
  const rest = ({ seconds, stages }: Timing) => seconds - Object.values(stages).reduce((sum, part) => sum + part, 0);
  const stages = names.map((name) => [name, fitLine(timings.map((run) => [run.nodes, run.stages[name]]))] as const);
  return { start: Math.max(0, median(timings.map(rest))), stages: Object.fromEntries(stages) };
}

export function predict({ start, stages }: CostModel, nodes: number): number {
  return Object.values(stages).reduce((sum, { fixed, perNode }) => sum + fixed + perNode * nodes, start);
}

/**
 * The line through the medians of each size, by least squares of the relative error: t / n = perNode + fixed / n is a
 * line in 1 / n. Neither part is negative.
 */
function fitLine(points: readonly (readonly [nodes: number, seconds: number])[]): Cost {
  const sizes = [...new Set(points.map(([nodes]) => nodes))];
  const x = sizes.map((size) => 1 / size);
  const y = sizes.map(
    (size) => median(points.filter(([nodes]) => nodes === size).map(([, seconds]) => seconds)) / size,
  );
  const [meanX, meanY] = [mean(x), mean(y)];
  const spread = x.reduce((sum, xi) => sum + (xi - meanX) ** 2, 0);
  const shared = x.reduce((sum, xi, i) => sum + (xi - meanX) * (y[i] - meanY), 0);
  const fixed = spread > 0 ? Math.max(0, shared / spread) : 0;
  const perNode = meanY - fixed * meanX;
  if (perNode >= 0) return { fixed, perNode };
  return { fixed: mean(y.map((yi, i) => yi / x[i])), perNode: 0 };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
