/**
 * Every stage as an ONNX graph (`onnx-graphs.ts`) on an execution provider of ONNX Runtime: `cpu`, or a device. A stage
 * uploads its inputs once and downloads its outputs once.
 *
 * Inputs are padded to a few fixed sizes, so that a device compiles its shaders and plans for those and no more.
 */
import { InferenceSession, type SessionOptions, Tensor } from '../kernels/onnx-runtime.js';
import { oneThread, runInto } from '../kernels/onnx-session.js';
import type { FactoredModel } from '../model/factored.js';
import type { Backend, BackendOptions, TileCapacity, TileMemory } from './backend.js';
import type { OnnxProvider } from './names.js';
import { type GraphSizes, stageGraph } from './onnx-graphs.js';
import { missingFor, unavailable } from './onnx-providers.js';
import { type TileStage, tileStages } from './stages.js';
import { allocateTile } from './tile.js';

/** Added to the logit of what is not in a list: softmax gives it exactly 0. */
const notInList = -1e30;

/** Sizes of an input: the capacity halved up to this often. */
const halvings = 3;

export async function createOnnx(
  model: FactoredModel,
  capacity: TileCapacity,
  { provider = 'cpu', device = 0 }: BackendOptions,
): Promise<Backend> {
  return OnnxBackend.create(model, capacity, provider, device);
}

class OnnxBackend implements Backend {
  readonly name = 'onnx';
  readonly tile: TileMemory;
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
    private readonly sessions: Readonly<Record<TileStage, InferenceSession>>,
    model: FactoredModel,
    private readonly capacity: TileCapacity,
  ) {
    this.tile = allocateTile(model, capacity);
    this.heads = model.heads.length;
    this.dim = model.dim;
    this.paddedDim = model.paddedDim;
    this.lists = new Int32Array(capacity.nodes * this.heads * capacity.width);
    this.mask = new Float32Array(capacity.nodes * capacity.width);
    this.first = new Int32Array(capacity.edges);
    this.second = new Int32Array(capacity.edges);
  }

  static async create(model: FactoredModel, capacity: TileCapacity, provider: OnnxProvider, device: number) {
    const missing = provider === 'webgpu' ? undefined : missingFor(provider);
    if (missing) throw unavailable(provider, missing);
    const options = sessionOptions(provider, device);
    const open = async (stage: TileStage) => {
      const graph = stageGraph(stage, model, graphSizes(provider, model, capacity));
      return InferenceSession.create(graph, options);
    };
    try {
      const sessions = {} as Record<TileStage, InferenceSession>;
      for (const stage of tileStages) sessions[stage] = await open(stage);
      return new OnnxBackend(provider, sessions, model, capacity);
    } catch (error) {
      throw unavailable(provider, error);
    }
  }

  async project(count: number): Promise<void> {
    const { tile, heads: M, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    await runInto(
      this.sessions.project,
      { x: floats(tile.x, B, this.dim) },
      { h: floats(tile.h, B, M * p), s: floats(tile.s, B, M), t: floats(tile.t, B, M) },
    );
  }

  async aggregate(count: number): Promise<void> {
    const { tile, heads: M, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    const inputs = this.attentionInputs(count, B);
    await runInto(this.sessions.aggregate, inputs, { h: floats(tile.h, B, M * p), t: floats(tile.t, B, M) });
  }

  async embed(count: number): Promise<void> {
    const B = this.padded(count, this.capacity.nodes);
    await runInto(this.sessions.embed, this.attentionInputs(count, B), {
      c: floats(this.tile.centres, B, this.paddedDim),
    });
  }

  async split(count: number): Promise<void> {
    const { tile, paddedDim: p } = this;
    const B = this.padded(count, this.capacity.nodes);
    const outputs = { left: floats(tile.left, B, p), right: floats(tile.right, B, p) };
    await runInto(this.sessions.split, { c: floats(tile.centres, B, p) }, outputs);
  }

  async score(edgeCount: number): Promise<void> {
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
    for (const session of Object.values(this.sessions)) await session.release();
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

  /** The least of the fixed sizes that holds `count`. TensorRT plans for one size alone. */
  private padded(count: number, most: number): number {
    let size = most;
    if (this.provider === 'tensorrt') return size;
    for (let i = 0; i < halvings && Math.ceil(size / 2) >= count; i++) size = Math.ceil(size / 2);
    return size;
  }
}

/** Options of a session on one provider. Where it is a device, a node that the device cannot run is an error. */
function sessionOptions(provider: OnnxProvider, device: number): SessionOptions {
  if (provider === 'cpu') return oneThread;
  return {
    ...oneThread,
    executionProviders: [provider === 'webgpu' ? 'webgpu' : { name: provider, deviceId: device }],
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  };
}

function graphSizes(provider: OnnxProvider, model: FactoredModel, capacity: TileCapacity): GraphSizes {
  const { nodes, rows, edges, width } = capacity;
  if (provider !== 'tensorrt') return { nodes: 'nodes', rows: 'rows', headRows: 'headRows', edges: 'edges', width };
  return { nodes, rows, headRows: rows * model.heads.length, edges, width };
}

function floats(data: Float32Array, ...shape: number[]): Tensor {
  return new Tensor(
    'float32',
    data.subarray(
      0,
      shape.reduce((size, length) => size * length, 1),
    ),
    shape,
  );
}

function ints(data: Int32Array, ...shape: number[]): Tensor {
  return new Tensor(
    'int32',
    data.subarray(
      0,
      shape.reduce((size, length) => size * length, 1),
    ),
    shape,
  );
}
