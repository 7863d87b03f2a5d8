/**
 * Every stage as an ONNX graph (`onnx-graphs.ts`) on an execution provider of ONNX Runtime: `cpu`, or a device. A stage
 * uploads its inputs once and downloads its outputs once; which these are is in the layout of the stage.
 *
 * Inputs are padded to a few fixed sizes, so that a device compiles its shaders and plans for those and no more.
 */
import { InferenceSession, type Tensor } from '../../kernels/onnx-runtime.js';
import { runInto } from '../../kernels/onnx-session.js';
import type { FactoredModel } from '../../model/factored.js';
import type { BackendOptions, ConcatBackend, ConcatTile, TileCapacity, TileMemory } from '../backend.js';
import type { OnnxProvider } from '../names.js';
import { floats, ints, onProvider, paddedSize, releaseAll } from '../onnx-sessions.js';
import { type ConcatStage, concatLayout, concatStages, type Lines, linesOf, type TileLayout } from '../stages.js';
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
  private readonly layout: TileLayout<ConcatStage, ConcatTile>;
  private readonly heads: number;
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
    this.layout = concatLayout(model, capacity);
    this.tile = allocateTile(this.layout);
    this.heads = model.heads.length;
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

  async run(stage: ConcatStage, count: number): Promise<void> {
    const { unit, own, named, out } = this.layout.stages[stage];
    const size = this.padded(count, this.capacity[unit]);
    const inputs = this.tensors(own, size);
    if (named?.by === 'lists') Object.assign(inputs, this.attentionInputs(count, size));
    if (named?.by === 'pairs') Object.assign(inputs, this.endInputs(count, size));
    await runInto(this.sessions[stage], inputs, this.tensors(out, size));
  }

  async release(): Promise<void> {
    await releaseAll(Object.values(this.sessions));
  }

  /** Rows of both ends of each edge; those after the last row that is named are not uploaded. */
  private endInputs(count: number, E: number): Record<string, Tensor> {
    const { tile, paddedDim: p, first, second, capacity } = this;
    let lefts = 0;
    let rights = 0;
    for (let e = 0; e < count; e++) {
      first[e] = tile.pairs[2 * e];
      second[e] = tile.pairs[2 * e + 1];
      if (first[e] >= lefts) lefts = first[e] + 1;
      if (second[e] >= rights) rights = second[e] + 1;
    }
    first.fill(0, count, E);
    second.fill(0, count, E);
    return {
      left: floats(tile.left, this.padded(lefts, capacity.nodes), p),
      right: floats(tile.rows, this.padded(rights, capacity.rows), p),
      first: ints(first, E),
      second: ints(second, E),
    };
  }

  /** The lists as the graphs want them; rows that they do not name are not uploaded. */
  private attentionInputs(count: number, B: number): Record<string, Tensor> {
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

  /** Arrays of the tile [count × columns]. */
  private tensors(lines: Lines, count: number): Record<string, Tensor> {
    const tile = this.tile as TileMemory;
    return Object.fromEntries(
      linesOf(lines).map(({ name, columns }) => [name, floats(tile[name] as Float32Array, count, columns)]),
    );
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
