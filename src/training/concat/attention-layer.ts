/**
 * Both hops of attention, forward and backward, over the unified rows of a closure (closure.ts). Of one head:
 *
 *   row = W input + b,   s = a_c · row (H rows),   t = a_n · row      input: x of an H row, z of a one-hop node
 *   out_i = ReLU(Σ_e k_e row_e + g),   k = dropout of the softmax of LeakyReLU(s_i + t_e + β)
 *
 * and back, with G the gradient before ReLU, ∂x_e that before LeakyReLU:
 *
 *   ∂row = Σ_{lists i that name it} k G_i + ∂t a_n + ∂s a_c      ∂W = Σ ∂row inputᵀ      ∂z = Wᵀ ∂row
 */
import type { AttentionScalars } from '../../kernels/training-kernels.js';
import type { SharedRows } from '../../memory/shared-rows.js';
import { dropoutKey, isKept } from './dropout.js';
import type { Parameters } from './parameters.js';
import { addBlock, copyBlock, type Workbench } from './workbench.js';

export class AttentionLayer {
  /** W of all heads [w × p] and b [w], and the gradient of W, in this thread's own memory. */
  private readonly weight: Float32Array;
  private readonly bias: Float32Array;
  private readonly weightGradient: Float32Array;

  /** `features`: [n × p]. */
  constructor(
    private readonly bench: Workbench,
    private readonly features: SharedRows,
    private readonly alpha: number,
    private readonly seed: number,
  ) {
    this.weight = new Float32Array(bench.w * bench.p);
    this.bias = new Float32Array(bench.w);
    this.weightGradient = new Float32Array(bench.w * bench.p);
  }

  /** Takes up this step's parameters. */
  open(): void {
    const { bench, weight, bias } = this;
    const { p, parameters } = bench;
    const { dim } = bench.architecture;
    for (let m = 0; m < bench.heads; m++) {
      const w = parameters.get(`attention.attn_${m}.w.weight`);
      copyBlock(weight.subarray(m * p * p), p, w, [dim, 0], [dim, dim]);
      bias.set(parameters.get(`attention.attn_${m}.w.bias`), m * p);
    }
  }

  /** H rows, their s and t. */
  async project(first: number, count: number): Promise<void> {
    const { narrow, views } = this.bench;
    this.features.gather(views.nodes.subarray(first, first + count), count, narrow);
    await this.makeRows(first, count);
    this.dots(first, count, 'centre');
  }

  /** z of one-hop nodes, from it their rows and t. */
  async aggregate(first: number, count: number): Promise<void> {
    this.attend(first, count);
    this.outputs(first, count);
    await this.makeRows(this.bench.task.sizes.rowCount + first, count);
  }

  /** c of nodes of the block, left in `narrow`. */
  embed(first: number, count: number): void {
    const list = this.bench.task.sizes.oneHopCount + first;
    this.attend(list, count);
    this.outputs(list, count);
  }

  /** c of nodes of the block once more into `narrow`. */
  centres(first: number, count: number): void {
    this.outputs(this.bench.task.sizes.oneHopCount + first, count);
  }

  /** From ∂c in `narrow`. */
  embedBackward(first: number, count: number, gradient: Parameters): void {
    this.listsBackward(this.bench.task.sizes.oneHopCount + first, count, gradient);
  }

  /** From what reads z rows of one-hop nodes to the lists that made z. */
  async aggregateBackward(first: number, count: number, gradient: Parameters): Promise<void> {
    const { bench } = this;
    const { p, w, narrow, wide } = bench;
    this.rowsBackward(bench.task.sizes.rowCount + first, count, gradient);
    this.outputs(first, count);
    await bench.products.inner([w, p, count], wide, narrow, this.weightGradient);
    await bench.products.plain([count, p, w], wide, this.weight, narrow);
    this.listsBackward(first, count, gradient);
  }

  async projectBackward(first: number, count: number, gradient: Parameters): Promise<void> {
    const { bench } = this;
    const { p, w, narrow, wide } = bench;
    this.rowsBackward(first, count, gradient);
    this.features.gather(bench.views.nodes.subarray(first, first + count), count, narrow);
    await bench.products.inner([w, p, count], wide, narrow, this.weightGradient);
  }

  /** Moves the gradient of W, summed since the last call, to its place, or adds it to what is there. */
  flush(gradient: Parameters, add: boolean): void {
    const { p, heads, architecture } = this.bench;
    const { dim } = architecture;
    const move = add ? addBlock : copyBlock;
    for (let m = 0; m < heads; m++) {
      const out = gradient.get(`attention.attn_${m}.w.weight`);
      move(out, dim, this.weightGradient.subarray(m * p * p), [p, 0], [dim, dim]);
    }
    this.weightGradient.fill(0);
  }

  /** Rows [first, first + count) from the inputs in `narrow`, and their t. */
  private async makeRows(first: number, count: number): Promise<void> {
    const { p, w, narrow, wide, products, views } = this.bench;
    await products.linear([count, w, p], narrow, this.weight, this.bias, wide);
    views.rows.set(wide.subarray(0, count * w), first * w);
    this.dots(first, count, 'neighbour');
  }

  /** s or t of rows [first, first + count), each head's from the activation row that holds a_c or a_n. */
  private dots(first: number, count: number, which: 'centre' | 'neighbour'): void {
    const { p, w, heads, kernels, views } = this.bench;
    const scores = views[which].subarray(first * heads);
    const vector = this.scoreVector(which);
    for (let m = 0; m < heads; m++) {
      const rows = { count, dim: p, rows: views.rows.subarray(first * w), stride: w, column: m * p };
      kernels.rowDots({ ...rows, vector: vector.subarray(m * p), out: scores, outStride: heads, outColumn: m });
    }
  }

  /** a_n or a_c of all heads [w]. */
  private scoreVector(which: 'centre' | 'neighbour'): Float32Array {
    const { w, views, task } = this.bench;
    const row = task.sizes.oneHopCount + task.sizes.blockCount + (which === 'neighbour' ? 0 : 1);
    return views.activations.subarray(row * w, (row + 1) * w);
  }

  /** Lists [first, first + count) as the kernels take them, for head m. The lists are of one hop. */
  private scalars(first: number, count: number, m: number): AttentionScalars {
    const { bench, alpha } = this;
    const { views, heads } = bench;
    const { oneHopStart, oneHopCount } = bench.task.sizes;
    return {
      first,
      count,
      offsets: views.attentionOffsets,
      index: views.attentionIndex,
      centre: views.centre,
      centreShift: first < oneHopCount ? oneHopStart : -oneHopCount,
      neighbour: views.neighbour,
      scalarStride: heads,
      head: m,
      attentionBias: bench.parameters.get(`attention.attn_${m}.a.bias`)[0],
      alpha,
      weights: this.ofHead(views.weights, m),
    };
  }

  private ofHead(entries: Float32Array, m: number): Float32Array {
    const count = this.bench.task.sizes.entries;
    return entries.subarray(m * count, (m + 1) * count);
  }

  private kept(m: number): Float32Array {
    const { views, task } = this.bench;
    return this.ofHead(task.sizes.dropout ? views.kept : views.weights, m);
  }

  private attend(first: number, count: number): void {
    const { p, w, heads, kernels, views, fixed, task } = this.bench;
    for (let m = 0; m < heads; m++) {
      const scalars = this.scalars(first, count, m);
      kernels.attentionWeights(scalars);
      if (task.sizes.dropout) this.drop(first, count, m);
      kernels.weightedRows({
        first,
        count,
        offsets: scalars.offsets,
        index: scalars.index,
        weights: this.kept(m),
        dim: p,
        rows: views.rows,
        rowStride: w,
        column: m * p,
        bias: fixed.outputBias.subarray(m * p),
        out: views.activations,
        outStride: w,
        outColumn: m * p,
      });
    }
  }

  /** kept = weights · mask / (1 − rate), not normalised again. */
  private drop(first: number, count: number, m: number): void {
    const { views, task } = this.bench;
    const { rowCount, oneHopStart, oneHopCount } = task.sizes;
    const { attentionOffsets: offsets, attentionIndex: index, nodes } = views;
    const hop = first < oneHopCount ? 2 : 1;
    const shift = hop === 2 ? oneHopStart : -oneHopCount;
    const key = dropoutKey(this.seed, task.step, hop, m);
    const scale = 1 / (1 - task.dropoutRate);
    const weights = this.ofHead(views.weights, m);
    const kept = this.kept(m);
    for (let list = first; list < first + count; list++) {
      const node = nodes[list + shift];
      for (let e = offsets[list]; e < offsets[list + 1]; e++) {
        const neighbour = nodes[index[e] < rowCount ? index[e] : index[e] - rowCount + oneHopStart];
        kept[e] = isKept(key, node, neighbour, task.dropoutRate) ? weights[e] * scale : 0;
      }
    }
  }

  /** Means over heads of what lists [first, first + count) gave, into `narrow`. */
  private outputs(first: number, count: number): void {
    const { p, w, heads, narrow, views } = this.bench;
    const activations = views.activations.subarray(first * w, (first + count) * w);
    if (heads === 1) return void narrow.set(activations);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < p; c++) {
        let sum = 0;
        for (let m = 0; m < heads; m++) sum += activations[i * w + m * p + c];
        narrow[i * p + c] = sum / heads;
      }
    }
  }

  /** From the gradient at the outputs of lists, in `narrow`: G in place of the activations, ∂x, ∂s, ∂g. */
  private listsBackward(first: number, count: number, gradient: Parameters): void {
    const { p, w, heads, kernels, views, narrow, tile } = this.bench;
    tile.set(narrow.subarray(0, count * p));
    const values = views.activations.subarray(first * w);
    for (let m = 0; m < heads; m++) {
      const head = { values, stride: w, column: m * p };
      kernels.reluGradient({ count, dim: p, ...head, gradient: tile, scale: 1 / heads });
      kernels.attentionGradient({
        ...this.scalars(first, count, m),
        dim: p,
        rows: views.rows,
        gradient: views.activations,
        rowStride: w,
        column: m * p,
        kept: this.kept(m),
        slopes: this.ofHead(views.slopes, m),
        centreSlopes: views.listSlopes,
      });
      this.bench.addRows(gradient.get(`attention.attn_${m}.bias`), values, [count, w, m * p, p]);
    }
  }

  /** ∂row in place of rows [first, first + count), and in `wide`; ∂a, ∂β, ∂b. */
  private rowsBackward(first: number, count: number, gradient: Parameters): void {
    const { bench } = this;
    const { p, w, heads, kernels, views, wide } = bench;
    const { dim } = bench.architecture;
    const projected = first < bench.task.sizes.rowCount;
    const rows = views.rows.subarray(first * w, (first + count) * w);
    for (let m = 0; m < heads; m++) {
      const at = `attention.attn_${m}`;
      gradient.get(`${at}.a.bias`)[0] += this.scoreSlopes(first, count, m);
      const score = gradient.get(`${at}.a.weight`);
      const shape = [count, w, m * p, p] as const;
      bench.addRows(score.subarray(dim), rows, shape, views.neighbourSlopes.subarray(first));
      if (projected) bench.addRows(score.subarray(0, dim), rows, shape, views.centreSlopes.subarray(first));
      kernels.weightedRows({
        first,
        count,
        offsets: views.rowOffsets,
        index: views.rowLists,
        weights: views.rowWeights,
        dim: p,
        rows: views.activations,
        rowStride: w,
        column: m * p,
        out: views.rows,
        outStride: w,
        outColumn: m * p,
      });
      bench.addRows(gradient.get(`${at}.w.bias`), rows, shape);
    }
    wide.set(rows);
  }

  /** ∂t and, of H rows, ∂s; the weights of each row's lists in their order. Returns the sum of ∂t. */
  private scoreSlopes(first: number, count: number, m: number): number {
    const { bench } = this;
    const { views, heads } = bench;
    const { rowCount, oneHopStart, oneHopCount, blockCount } = bench.task.sizes;
    const { rowOffsets, rowPlaces, rowWeights, listSlopes, neighbourSlopes, centreSlopes } = views;
    const kept = this.kept(m);
    const slopes = this.ofHead(views.slopes, m);
    let total = 0;
    for (let row = first; row < first + count; row++) {
      const last = rowOffsets[row + 1];
      let place = rowOffsets[row];
      let sum = 0;
      for (; place < last && rowPlaces[place] >= 0; place++) {
        rowWeights[place] = kept[rowPlaces[place]];
        sum += slopes[rowPlaces[place]];
      }
      rowWeights[place] = sum;
      neighbourSlopes[row] = sum;
      total += sum;
      if (row >= rowCount) continue;
      const asOneHop = row - oneHopStart;
      let centre = 0;
      if (asOneHop >= 0 && asOneHop < oneHopCount) centre += listSlopes[asOneHop * heads + m];
      if (row < blockCount) centre += listSlopes[(oneHopCount + row) * heads + m];
      rowWeights[place + 1] = centre;
      centreSlopes[row] = centre;
    }
    return total;
  }
}
