/**
 * The model and its training as published, in float64 and plain loops: every pair recomputes its whole two-hop
 * neighbourhood, and every gradient is propagated back along the way it came. Slow on purpose: the oracle of the engine.
 */
import type { KnnGraph } from '../../src/graph/knn-graph.js';
import type { SharedRows } from '../../src/memory/shared-rows.js';
import { concatTensors } from '../../src/model/concat.js';
import type { Hops } from '../../src/training/concat/closure.js';
import type { Architecture } from '../../src/training/concat/parameters.js';

type Vector = Float64Array;
export type Tensors = ReadonlyMap<string, Vector>;

/** Factor of an attention entry under dropout; the node stands for itself in column 0. */
export type Mask = (hop: 1 | 2, head: number, node: number, neighbour: number) => number;

export interface ReferenceInput {
  readonly architecture: Architecture;
  readonly alpha: number;
  readonly hops: Hops;
  readonly features: SharedRows;
  readonly graph: KnnGraph;
  readonly labels: Int32Array;
}

export interface BatchResult {
  readonly loss: number;
  /** [Q × 2]. */
  readonly logits: Vector;
  readonly gradient: Tensors;
}

export class Reference {
  readonly parameters: Tensors;
  private readonly dim: number;
  private readonly heads: number;
  private readonly firstMoments: Tensors;
  private readonly secondMoments: Tensors;
  private steps = 0;

  constructor(
    private readonly input: ReferenceInput,
    tensors: ReadonlyMap<string, ArrayLike<number>>,
  ) {
    this.dim = input.architecture.dim;
    this.heads = input.architecture.heads;
    const zeros = () => zeroTensors(input.architecture);
    this.parameters = zeros();
    for (const [name, values] of this.parameters) values.set(tensors.get(name) ?? []);
    this.firstMoments = zeros();
    this.secondMoments = zeros();
  }

  /** Mean cross-entropy of directed pairs [Q × 2] of nodes, and its gradient. `weights`: of a negative and a positive pair. */
  batch(
    pairs: ArrayLike<number>,
    { mask = () => 1, weights = [1, 1] }: { mask?: Mask; weights?: number[] } = {},
  ): BatchResult {
    const { labels } = this.input;
    const count = pairs.length / 2;
    const target = (q: number) => (labels[pairs[2 * q]] === labels[pairs[2 * q + 1]] ? 1 : 0);
    let total = 0;
    for (let q = 0; q < count; q++) total += weights[target(q)];
    const gradient = zeroTensors(this.input.architecture);
    const logits = new Float64Array(2 * count);
    let loss = 0;
    for (let q = 0; q < count; q++) {
      const a = this.embed(pairs[2 * q], mask);
      const b = this.embed(pairs[2 * q + 1], mask);
      const head = this.classify(a.out, b.out);
      logits.set(head.logits, 2 * q);
      const weight = weights[target(q)] / total;
      const largest = Math.max(...head.logits);
      const sum = Math.exp(head.logits[0] - largest) + Math.exp(head.logits[1] - largest);
      loss += weight * (largest + Math.log(sum) - head.logits[target(q)]);
      const slopes = Float64Array.from(
        head.logits,
        (logit, y) => weight * (Math.exp(logit - largest) / sum - (y === target(q) ? 1 : 0)),
      );
      const both = head.backward(slopes, gradient);
      a.backward(both.subarray(0, this.dim), gradient);
      b.backward(both.subarray(this.dim), gradient);
    }
    return { loss, logits, gradient };
  }

  /** Joint clipping, then Adam with L2 weight decay. */
  update(
    gradient: Tensors,
    { learningRate, weightDecay, clip }: Record<'learningRate' | 'weightDecay' | 'clip', number>,
  ): void {
    this.steps++;
    let squares = 0;
    for (const values of gradient.values()) for (const value of values) squares += value * value;
    const scale = Math.min(1, clip / (Math.sqrt(squares) + 1e-6));
    for (const [name, theta] of this.parameters) {
      const [m, v] = [tensor(this.firstMoments, name), tensor(this.secondMoments, name)];
      tensor(gradient, name).forEach((value, i) => {
        const g = value * scale + weightDecay * theta[i];
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        const root = Math.sqrt(v[i] / (1 - 0.999 ** this.steps)) + 1e-8;
        theta[i] -= (learningRate * m[i]) / (1 - 0.9 ** this.steps) / root;
      });
    }
  }

  /** c of one node, and the way back from ∂c. */
  private embed(node: number, mask: Mask): { out: Vector; backward(slope: Vector, gradient: Tensors): void } {
    const { k1, k2 } = this.input.hops;
    const list = this.list(node, k1).slice(1);
    const inner = list.map((j) => {
      const nodes = this.list(j, k2);
      return this.attend(
        nodes.map((u) => this.feature(u)),
        (head, e) => mask(2, head, j, nodes[e]),
      );
    });
    const rows = [this.feature(node), ...inner.map(({ out }) => out)];
    const outer = this.attend(rows, (head, e) => mask(1, head, node, e === 0 ? node : list[e - 1]));
    return {
      out: outer.out,
      backward: (slope, gradient) => {
        const slopes = outer.backward(slope, gradient);
        inner.forEach((attention, e) => void attention.backward(slopes[e + 1], gradient));
      },
    };
  }

  /** One attention layer over rows, the centre first; the way back returns the gradient at each row. */
  private attend(
    rows: Vector[],
    factor: (head: number, entry: number) => number,
  ): { out: Vector; backward(slope: Vector, gradient: Tensors): Vector[] } {
    const { dim, heads } = this;
    const { alpha } = this.input;
    const out = new Float64Array(dim);
    const tapes = Array.from({ length: heads }, (_, m) => {
      const at = `attention.attn_${m}`;
      const weight = tensor(this.parameters, `${at}.w.weight`);
      const bias = tensor(this.parameters, `${at}.w.bias`);
      const score = tensor(this.parameters, `${at}.a.weight`);
      const [beta] = tensor(this.parameters, `${at}.a.bias`);
      const outputBias = tensor(this.parameters, `${at}.bias`);
      const h = rows.map((x) => bias.map((b, r) => b + dot(weight.subarray(r * dim, (r + 1) * dim), x)));
      const inputs = h.map((row) => dot(score.subarray(0, dim), h[0]) + dot(score.subarray(dim), row) + beta);
      const e = inputs.map((x) => (x > 0 ? x : alpha * x));
      const largest = Math.max(...e);
      const sum = e.reduce((total, x) => total + Math.exp(x - largest), 0);
      const p = e.map((x) => Math.exp(x - largest) / sum);
      const factors = p.map((_, j) => factor(m, j));
      const before = outputBias.map((g, c) => g + h.reduce((total, row, j) => total + p[j] * factors[j] * row[c], 0));
      before.forEach((value, c) => {
        out[c] += Math.max(value, 0) / heads;
      });
      return { at, weight, score, h, inputs, p, factors, before };
    });
    return {
      out,
      backward: (slope, gradient) => {
        const rowSlopes = rows.map(() => new Float64Array(dim));
        for (const { at, weight, score, h, inputs, p, factors, before } of tapes) {
          const g = slope.map((value, c) => (before[c] > 0 ? value / heads : 0));
          add(tensor(gradient, `${at}.bias`), g);
          const ofWeights = h.map((row, j) => factors[j] * dot(g, row));
          const mean = dot(Float64Array.from(p), Float64Array.from(ofWeights));
          const ofInputs = ofWeights.map((q, j) => p[j] * (q - mean) * (inputs[j] > 0 ? 1 : alpha));
          const all = ofInputs.reduce((total, value) => total + value, 0);
          tensor(gradient, `${at}.a.bias`)[0] += all;
          const ofScore = tensor(gradient, `${at}.a.weight`);
          h.forEach((row, j) => {
            add(ofScore.subarray(this.dim), row, ofInputs[j]);
            const ofRow = g.map((value, c) => p[j] * factors[j] * value + ofInputs[j] * score[this.dim + c]);
            if (j === 0) {
              add(ofScore.subarray(0, this.dim), row, all);
              add(ofRow, score.subarray(0, this.dim), all);
            }
            add(tensor(gradient, `${at}.w.bias`), ofRow);
            const ofWeight = tensor(gradient, `${at}.w.weight`);
            ofRow.forEach((value, r) => {
              add(ofWeight.subarray(r * this.dim, (r + 1) * this.dim), rows[j], value);
              add(rowSlopes[j], weight.subarray(r * this.dim, (r + 1) * this.dim), value);
            });
          });
        }
        return rowSlopes;
      },
    };
  }

  /** logits = W2 PReLU(W1 [c_a ; c_b] + b1) + b2; the way back returns the gradient at [c_a ; c_b]. */
  private classify(a: Vector, b: Vector): { logits: Vector; backward(slopes: Vector, gradient: Tensors): Vector } {
    const { dim } = this;
    const both = new Float64Array(2 * dim);
    both.set(a);
    both.set(b, dim);
    const first = tensor(this.parameters, 'classifier.0.weight');
    const slope = tensor(this.parameters, 'classifier.1.weight');
    const second = tensor(this.parameters, 'classifier.2.weight');
    const x = tensor(this.parameters, 'classifier.0.bias').map(
      (bias, r) => bias + dot(first.subarray(2 * r * dim, 2 * (r + 1) * dim), both),
    );
    const y = x.map((value, r) => (value > 0 ? value : slope[r] * value));
    const logits = tensor(this.parameters, 'classifier.2.bias').map(
      (bias, l) => bias + dot(second.subarray(l * dim, (l + 1) * dim), y),
    );
    return {
      logits,
      backward: (slopes, gradient) => {
        add(tensor(gradient, 'classifier.2.bias'), slopes);
        slopes.forEach((value, l) => {
          add(tensor(gradient, 'classifier.2.weight').subarray(l * dim, (l + 1) * dim), y, value);
        });
        const out = new Float64Array(2 * dim);
        x.forEach((value, r) => {
          const ofY = slopes[0] * second[r] + slopes[1] * second[dim + r];
          const ofX = value > 0 ? ofY : slope[r] * ofY;
          if (value <= 0) tensor(gradient, 'classifier.1.weight')[r] += ofY * value;
          tensor(gradient, 'classifier.0.bias')[r] += ofX;
          const row = first.subarray(2 * r * dim, 2 * (r + 1) * dim);
          add(tensor(gradient, 'classifier.0.weight').subarray(2 * r * dim, 2 * (r + 1) * dim), both, ofX);
          add(out, row, ofX);
        });
        return out;
      },
    };
  }

  /** The node and its first k neighbours. */
  private list(node: number, k: number): number[] {
    const { ids, width } = this.input.graph;
    return [...ids.subarray(node * width, node * width + k + 1)].filter((id) => id >= 0);
  }

  private feature(node: number): Vector {
    return Float64Array.from(this.input.features.row(node).subarray(0, this.dim));
  }
}

function zeroTensors(architecture: Architecture): Map<string, Vector> {
  return new Map(
    concatTensors(architecture).map(([name, shape]) => [name, new Float64Array(shape.reduce((a, b) => a * b, 1))]),
  );
}

function tensor(tensors: Tensors, name: string): Vector {
  const found = tensors.get(name);
  if (!found) throw new RangeError(name);
  return found;
}

function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** a += scale · b, over the length of b. */
function add(a: Vector, b: Vector, scale = 1): void {
  for (let i = 0; i < b.length; i++) a[i] += scale * b[i];
}
