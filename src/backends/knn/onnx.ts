/**
 * kNN on a provider of ONNX Runtime: the products of a batch with a tile of columns and the nearest of them are one graph, and only
 * those leave the device. A tile that stays is a constant of its own session; the others are inputs of one that they share.
 *
 * B rows a batch, C columns of a tile, d columns of features, L entries a list.
 */
import { constant, elementTypes, node, onnxModel } from '../../kernels/onnx-graph.js';
import { InferenceSession, type Tensor } from '../../kernels/onnx-runtime.js';
import { runInto } from '../../kernels/onnx-session.js';
import type { BackendOptions, KnnBackend, KnnColumns, TileCapacity } from '../backend.js';
import { floats, onProvider, paddedSize, releaseAll } from '../onnx-sessions.js';
import { allocateKnnTile, type ColumnTile, chunkColumns, columnTiles, rowsOf, tiledBackend } from './column-tiles.js';

export async function createOnnx(
  model: KnnColumns,
  capacity: TileCapacity,
  { provider = 'cpu', device = 0 }: BackendOptions,
): Promise<KnnBackend> {
  const { dim } = model.columns;
  const tile = allocateKnnTile(model, capacity);
  const B = provider === 'tensorrt' ? capacity.nodes : 'rows';
  const planned = columnTiles(model, capacity);
  const { tiles, resident, shared } = await onProvider(provider, device, async (options) => {
    const resident = new Map<ColumnTile, InferenceSession>();
    for (const columns of planned) {
      if (!columns.stays) break;
      try {
        resident.set(columns, await open(columns, rowsOf(model, columns)));
      } catch {
        // The device has less memory than was thought; where it is something else, the others cannot be opened either.
        break;
      }
    }
    // Sessions by the number of columns: tiles that are cut evenly have two.
    const shared = new Map<number, InferenceSession>();
    const tiles = planned.map((columns) => ({ ...columns, stays: resident.has(columns) }));
    for (const columns of tiles) {
      if (!columns.stays && !shared.has(columns.count)) shared.set(columns.count, await open(columns));
    }
    return { tiles, resident: [...resident.values()], shared };

    function open(columns: ColumnTile, rows?: Float32Array): Promise<InferenceSession> {
      return InferenceSession.create(
        nearestGraph({ B, dim, ...columns, rows, inChunks: provider === 'webgpu' }),
        options,
      );
    }
  });

  const similarities = new Float32Array(capacity.nodes * model.listed);
  const places = new Float32Array(capacity.nodes * model.listed);
  const sums = new Float32Array(capacity.nodes);
  const streamed = new Float32Array(Math.max(0, ...[...shared.keys()]) * dim);

  return tiledBackend(model, {
    name: 'onnx',
    provider,
    tiles,
    tile,
    async nearest(columns, count) {
      const size = paddedSize(count, capacity.nodes, provider);
      const { listed } = columns;
      const inputs: Record<string, Tensor> = { x: floats(tile.x, size, dim) };
      if (!columns.stays) inputs.columns = floats(rowsOf(model, columns, streamed), columns.count, dim);
      const session = columns.stays ? resident[tiles.indexOf(columns)] : shared.get(columns.count);
      await runInto(session!, inputs, {
        similarities: floats(similarities, size, listed),
        places: floats(places, size, listed),
        sums: floats(sums, size, 1),
      });
      return { similarities, places, sums };
    },
    release: () => releaseAll([...resident, ...shared.values()]),
  });
}

interface GraphOptions extends ColumnTile {
  readonly B: number | string;
  readonly dim: number;
  /** The columns, where they are a constant. */
  readonly rows: Float32Array | undefined;
  readonly inChunks: boolean;
}

/** x [B × d], columns [C × d] → similarities, places [B × L], and sums [B × 1]. */
function nearestGraph({ B, dim, count, listed, rows, inChunks }: GraphOptions): Uint8Array {
  // It pays where few of the chunks are selected.
  const fitsChunks = count % chunkColumns === 0 && count >= 4 * listed * chunkColumns;
  const selection = inChunks && fitsChunks ? selectInChunks(count, listed) : select(count);
  return onnxModel({
    nodes: [
      node('Gemm', ['x', 'columns'], ['products'], { transB: 1 }),
      ...selection.nodes,
      node('ReduceSum', ['products', 'columnAxis'], ['sums'], { keepdims: 1 }),
    ],
    constants: [
      constant('listed', [1], BigInt64Array.of(BigInt(listed))),
      constant('columnAxis', [1], BigInt64Array.of(1n)),
      ...selection.constants,
      ...(rows ? [constant('columns', [count, dim], rows)] : []),
    ],
    inputs: [['x', [B, dim]], ...(rows ? [] : [['columns', [count, dim]] as const])],
    outputs: [
      ['similarities', [B, listed]],
      ['places', [B, listed]],
      ['sums', [B, 1]],
    ],
  });
}

/** Places are float32, as providers lack operators on the int64 that TopK gives. */
function select(count: number) {
  return {
    nodes: [
      node('TopK', ['products', 'listed'], ['similarities', 'numbers'], { axis: 1 }),
      node('Gather', ['allPlaces', 'numbers'], ['places'], { axis: 0 }),
    ],
    constants: [constant('allPlaces', [count], numbers(count, 1))],
  };
}

/**
 * The same where TopK sorts whole rows, as it does on WebGPU: the L greatest lie in the L chunks of the greatest maxima, so that two
 * short rows are sorted instead.
 */
function selectInChunks(count: number, listed: number) {
  const chunks = count / chunkColumns;
  const shape = (...sizes: number[]) => BigInt64Array.from(sizes, BigInt);
  return {
    nodes: [
      node('Reshape', ['products', 'chunkShape'], ['chunks']),
      node('ReduceMax', ['chunks'], ['maxima'], { axes: [2], keepdims: 0 }),
      node('TopK', ['maxima', 'listed'], ['greatest', 'chunkNumbers'], { axis: 1 }),
      node('Gather', ['chunkStarts', 'chunkNumbers'], ['starts'], { axis: 0 }),
      node('Reshape', ['starts', 'startShape'], ['startColumn']),
      node('Add', ['startColumn', 'offsets'], ['chunkPlaces']),
      node('Reshape', ['chunkPlaces', 'flatShape'], ['candidates']),
      node('Cast', ['candidates'], ['candidateColumns'], { to: elementTypes.int32 }),
      node('GatherElements', ['products', 'candidateColumns'], ['cosines'], { axis: 1 }),
      node('TopK', ['cosines', 'listed'], ['similarities', 'numbers'], { axis: 1 }),
      node('GatherElements', ['candidates', 'numbers'], ['places'], { axis: 1 }),
    ],
    constants: [
      constant('chunkShape', [3], shape(-1, chunks, chunkColumns)),
      constant('startShape', [3], shape(-1, listed, 1)),
      constant('flatShape', [2], shape(-1, listed * chunkColumns)),
      constant('chunkStarts', [chunks], numbers(chunks, chunkColumns)),
      constant('offsets', [chunkColumns], numbers(chunkColumns, 1)),
    ],
  };
}

/** 0, step, 2 step … */
function numbers(count: number, step: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => i * step);
}
