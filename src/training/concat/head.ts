/**
 * The concatenation head over the pairs of a block, forward and backward, with W1 = [A B]:
 *
 *   left = A c,  right = B c + b1      gap = w · PReLU(left_a + right_b) + b2[1] − b2[0],  w = W2[1] − W2[0]
 *   loss = Σ weight_y · cross-entropy(softmax(logits), y),      ∂gap = weight_y (σ(gap) − y)
 *
 * The softmax of two logits depends on their gap alone, so the gradients of W2[0] and b2[0] are those of W2[1] and b2[1]
 * with the other sign.
 */
import type { Parameters } from './parameters.js';
import { copyBlock, type Workbench } from './workbench.js';

export interface PairSums {
  loss: number;
  /** Pairs whose more probable class is the right one. */
  correct: number;
}

export class ConcatHead {
  /** A above B [2p × p], 0 and b1 [2p], and the gradient of A and B, in this thread's own memory. */
  private readonly weight: Float32Array;
  private readonly bias: Float32Array;
  private readonly weightGradient: Float32Array;

  constructor(private readonly bench: Workbench) {
    const { p } = bench;
    this.weight = new Float32Array(2 * p * p);
    this.bias = new Float32Array(2 * p);
    this.weightGradient = new Float32Array(2 * p * p);
  }

  /** Takes up this step's parameters. */
  open(): void {
    const { p, parameters, architecture } = this.bench;
    const { dim } = architecture;
    const first = parameters.get('classifier.0.weight');
    copyBlock(this.weight, p, first, [2 * dim, 0], [dim, dim]);
    copyBlock(this.weight.subarray(p * p), p, first, [2 * dim, dim], [dim, dim]);
    this.bias.set(parameters.get('classifier.0.bias'), p);
  }

  /** left and right of nodes of the block, from c in `narrow`. */
  async split(first: number, count: number): Promise<void> {
    const { p, narrow, wide, products, views } = this.bench;
    await products.linear([count, 2 * p, p], narrow, this.weight, this.bias, wide);
    copyBlock(views.left.subarray(first * p), p, wide, [2 * p, 0], [count, p]);
    copyBlock(views.right.subarray(first * p), p, wide, [2 * p, p], [count, p]);
  }

  /** Gaps of the pairs of left rows [first, first + count), and their loss; with a gradient, ∂left and those of W2, b2 and the slope. */
  score(first: number, count: number, sums: PairSums, gradient: Parameters | undefined): void {
    const { p, kernels, views, fixed, parameters, task } = this.bench;
    const { left, right, targets, gaps, deltas } = views;
    const { positive, negative } = fixed;
    const from = views.leftOffsets[first];
    const to = views.leftOffsets[first + count];
    const [bias0, bias1] = parameters.get('classifier.2.bias');
    kernels.pairScores({
      edgeCount: to - from,
      dim: p,
      pairs: views.pairs.subarray(2 * from),
      left,
      right,
      positive,
      negative,
      bias: bias1 - bias0,
      gaps: gaps.subarray(from),
    });
    let deltaSum = 0;
    for (let e = from; e < to; e++) {
      const gap = gaps[e];
      const target = targets[e];
      const weight = task.pairWeights[target];
      const margin = target === 1 ? gap : -gap;
      const odds = Math.exp(-Math.abs(margin)); // of the less probable class
      const less = odds / (1 + odds);
      const miss = margin > 0 ? less : 1 - less; // 1 − probability of the right class
      sums.loss += weight * (Math.log1p(odds) + Math.max(-margin, 0));
      sums.correct += margin > 0 ? 1 : 0;
      deltas[e] = target === 1 ? -weight * miss : weight * miss;
      deltaSum += deltas[e];
    }
    if (!gradient) return;

    const { headSums } = this.bench;
    headSums.fill(0);
    kernels.pairGradients({
      first,
      count,
      offsets: views.leftOffsets,
      index: views.leftIndex,
      dim: p,
      deltas,
      own: left,
      other: right,
      positive,
      negative,
      out: views.leftGradient,
      sums: headSums,
    });
    const { dim } = this.bench.architecture;
    const slope = parameters.get('classifier.1.weight');
    const slopeGradient = gradient.get('classifier.1.weight');
    const second = gradient.get('classifier.2.weight');
    for (let c = 0; c < dim; c++) {
      const change = headSums[c] + slope[c] * headSums[p + c];
      second[c] -= change;
      second[dim + c] += change;
      slopeGradient[c] += positive[c] * headSums[p + c];
    }
    const secondBias = gradient.get('classifier.2.bias');
    secondBias[0] -= deltaSum;
    secondBias[1] += deltaSum;
  }

  /** ∂right, then ∂A, ∂B, ∂b1, and ∂c left in `narrow` in place of c. */
  async backward(first: number, count: number, gradient: Parameters): Promise<void> {
    const { p, kernels, views, fixed, products, narrow, wide } = this.bench;
    const { rightOffsets, rightPlaces, rightDeltas, deltas, right, leftGradient } = views;
    for (let e = rightOffsets[first]; e < rightOffsets[first + count]; e++) rightDeltas[e] = deltas[rightPlaces[e]];
    kernels.pairGradients({
      first,
      count,
      offsets: rightOffsets,
      index: views.rightIndex,
      dim: p,
      deltas: rightDeltas,
      own: right,
      other: views.left,
      positive: fixed.positive,
      negative: fixed.negative,
      out: right,
    });
    const rightGradient = right.subarray(first * p);
    this.bench.addRows(gradient.get('classifier.0.bias'), rightGradient, [count, p, 0, p]);
    copyBlock(wide, 2 * p, leftGradient.subarray(first * p), [p, 0], [count, p]);
    copyBlock(wide.subarray(p), 2 * p, rightGradient, [p, 0], [count, p]);
    await products.inner([2 * p, p, count], wide, narrow, this.weightGradient);
    await products.plain([count, p, 2 * p], wide, this.weight, narrow);
  }

  /** Moves the gradient of W1, summed since the last call, into its place. */
  flush(gradient: Parameters): void {
    const { p, architecture } = this.bench;
    const { dim } = architecture;
    const out = gradient.get('classifier.0.weight');
    copyBlock(out, 2 * dim, this.weightGradient, [p, 0], [dim, dim]);
    copyBlock(out.subarray(dim), 2 * dim, this.weightGradient.subarray(p * p), [p, 0], [dim, dim]);
    this.weightGradient.fill(0);
  }
}
