/**
 * Every stage as an ONNX graph (`onnx-graphs.ts`) on an execution provider of ONNX Runtime: `cpu`, or a device. A stage
 * uploads its inputs once and downloads its outputs once.
 *
 * Inputs are padded to a few fixed sizes, so that a device compiles its shaders and plans for those and no more.
 */
import { InferenceSession } from '../../kernels/onnx-runtime.js';
import { runInto } from '../../kernels/onnx-session.js';
import type { FactoredModel } from '../../model/factored.js';
import type { BackendOptions, ConcatBackend, ConcatTile, TileCapacity } from '../backend.js';
import type { OnnxProvider } from '../names.js';
import { floats, ints, onProvider, paddedSize, releaseAll } from '../onnx-sessions.js';
import { type ConcatStage, concatLayout, concatStages } from '../stages.js';
import { allocateTile } from '../tile.js';
import { type GraphSizes, stageGraph } from './onnx-graphs.js';

/** Added to the logit of what is not in a list: softmax gives it exactly 0. */
const notInList = -1e30;

export async function createOnnx(
  model: FactoredModel,
  capacity: TileCapacity,
  { provider = 'cpu', device = 0 }: BackendOptions,
): Promise<ConcatBackend> {
  return OnnxBackend.create(model, capacity, provider, device);
}

class OnnxBackend implements ConcatBackend {
  readonly name = 'onnx';
  readonly tile: ConcatTile;
  private readonly heads: number;
  private readonly dim: number;
  private readonly paddedDim: number;
  /** Rows of `rows` and `rowT` by head [B × M × w], and 0 or `notInList` [B × w]. */
  private readonly lists: Int32Array;
  private readonly mask: Float32Array;
  /** Ends of edges [E]. */
  private readonly first: Int32Array;
  private readonly second: Int32Array;

  private constructor(
    readonly provider: OnnxProvider,
    private readonly sessions: Readonly<Record<ConcatStage, InferenceSession>>,
    model: FactoredModel,
    private readonly capacity: TileCapacity,
  ) {
    this.tile = allocateTile(concatLayout(model, capacity));
    this.heads = model.heads.length;
    this.dim = model.dim;
    this.paddedDim = model.paddedDim;
    this.lists = new Int32Array(capacity.nodes * this.heads * capacity.width);
    this.mask = new Float32Array(capacity.nodes * capacity.width);
    this.first = new Int32Array(capacity.edges);
    this.second = new Int32Array(capacity.edges);
  }

  static create(model: FactoredModel, capacity: TileCapacity, provider: OnnxProvider, device: number) {
    return onProvider(provider, device, async (options) => {
      const sessions = {} as Record<ConcatStage, InferenceSession>;
      for (const stage of concatStages) {
        const graph = stageGraph(stage, model, graphSizes(provider, model, capacity));
        sessions[stage] = await InferenceSession.create(graph, options);
      }
      return new OnnxBackend(provider, sessions, model, capacity);
    });
  }

  run(stage: ConcatStage, count: number): Promise<void> {
    return this[stage](count);
  }

  private async project(count: number): Promise<void> {
    const { tile, heads: M, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    await runInto(
      this.sessions.project,
      { x: floats(tile.x, B, this.dim) },
      { h: floats(tile.h, B, M * p), s: floats(tile.s, B, M), t: floats(tile.t, B, M) },
    );
  }

  private async aggregate(count: number): Promise<void> {
    const { tile, heads: M, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    const inputs = this.attentionInputs(count, B);
    await runInto(this.sessions.aggregate, inputs, { h: floats(tile.h, B, M * p), t: floats(tile.t, B, M) });
  }

  private async embed(count: number): Promise<void> {
    const B = this.padded(count, this.capacity.nodes);
    await runInto(this.sessions.embed, this.attentionInputs(count, B), {
      c: floats(this.tile.centres, B, this.paddedDim),
    });
  }

  private async split(count: number): Promise<void> {
    const { tile, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    const outputs = { left: floats(tile.left, B, p), right: floats(tile.right, B, p) };
    await runInto(this.sessions.split, { c: floats(tile.centres, B, p) }, outputs);
  }

  private async score(edgeCount: number): Promise<void> {
    const { tile, paddedDim: p, first, second, capacity } = this;
    const E = this.padded(edgeCount, capacity.edges);
    let lefts = 0;
    let rights = 0;
    for (let e = 0; e < edgeCount; e++) {
      first[e] = tile.pairs[2 * e];
      second[e] = tile.pairs[2 * e + 1];
      if (first[e] >= lefts) lefts = first[e] + 1;
      if (second[e] >= rights) rights = second[e] + 1;
    }
    first.fill(0, edgeCount, E);
    second.fill(0, edgeCount, E);
    await runInto(
      this.sessions.score,
      {
        left: floats(tile.left, this.padded(lefts, capacity.nodes), p),
        right: floats(tile.rows, this.padded(rights, capacity.rows), p),
        first: ints(first, E),
        second: ints(second, E),
      },
      { scores: floats(tile.scores, E) },
    );
  }

  async release(): Promise<void> {
    await releaseAll(Object.values(this.sessions));
  }

  /** The lists as the graphs want them; rows that they do not name are not uploaded. */
  private attentionInputs(count: number, B: number) {
    const { tile, heads: M, paddedDim: p, lists, mask } = this;
    const { width: w, rows } = this.capacity;
    let used = 0;
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < w; j++) {
        const row = tile.lists[i * w + j];
        mask[i * w + j] = row < 0 ? notInList : 0;
        if (row >= used) used = row + 1;
        for (let m = 0; m < M; m++) lists[(i * M + m) * w + j] = row < 0 ? 0 : row * M + m;
      }
    }
    lists.fill(0, count * M * w, B * M * w);
    mask.fill(0, count * w, B * w);
    const R = this.padded(used, rows);
    return {
      rows: floats(tile.rows, R * M, p),
      rowT: floats(tile.rowT, R * M),
      s: floats(tile.s, B, M, 1),
      lists: ints(lists, B, M, w),
      mask: floats(mask, B, 1, w),
    };
  }

  private padded(count: number, most: number): number {
    return paddedSize(count, most, this.provider);
  }
}

function graphSizes(provider: OnnxProvider, model: FactoredModel, capacity: TileCapacity): GraphSizes {
  const { nodes, rows, edges, width } = capacity;
  if (provider !== 'tensorrt') return { nodes: 'nodes', rows: 'rows', headRows: 'headRows', edges: 'edges', width };
  return { nodes, rows, headRows: rows * model.heads.length, edges, width };
}
