/**
 * The stages on the TensorFlow.js API, for CUDA by tfjs-node-gpu or for CPUs. Weights are uploaded once; a call uploads
 * what it reads, computes in pieces that suit the device, and downloads its results. Every tensor of a call dies with it.
 *
 * Shapes as in backend.ts.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { NaanError } from '../../errors.js';
import type { FactoredModel } from '../../model/factored.js';
import type { BackendOptions, ConcatBackend, TileCapacity } from '../backend.js';
import { type ConcatStage, concatLayout } from '../stages.js';
import { loadTfjs } from '../tfjs-library.js';
import { allocateTile } from '../tile.js';

/** Added to an attention entry that is not there: its weight becomes exactly 0. */
const absent = -1e30;

export async function createTfjs(
  model: FactoredModel,
  capacity: TileCapacity,
  _options: BackendOptions,
): Promise<ConcatBackend> {
  const { dim, paddedDim: p, alpha } = model;
  const { nodes, rows, width } = capacity;
  const M = model.heads.length;
  const { tf, device, pieceBytes, mostBytes } = await loadTfjs();
  const bytes = 4 * (rows * M * p + nodes * (dim + M * p + 4 * p) + 4 * M * p * p) + 8 * pieceBytes;
  if (bytes > mostBytes) {
    const gib = (size: number) => (size / 2 ** 30).toFixed(1);
    throw new NaanError(
      'BAD_USAGE',
      `a tile of ${nodes} nodes takes ${gib(bytes)} GiB in TensorFlow.js on ${device}, at most ${gib(mostBytes)}: use a smaller batch`,
    );
  }

  const tile = allocateTile(concatLayout(model, capacity));
  /** Row of [R·M × p] that head 0 reads for each entry, and 0 or `absent` [B × w]. */
  const entries = new Int32Array(nodes * width);
  const masks = new Float32Array(nodes * width);

  const column = (values: Float32Array) => tf.tensor2d(values, [values.length, 1]);
  /** Weights [N × K] as [K × N], the order that multiplies without a transpose. */
  const linear = (weight: Float32Array, bias: Float32Array) => ({
    weight: tf.tidy(() => tf.transpose(tf.tensor2d(weight, [bias.length, weight.length / bias.length]))),
    bias: tf.tensor1d(bias),
  });
  const project = linear(model.projectRaw, model.projectBias);
  const reproject = model.projectPadded === model.projectRaw ? project : linear(model.projectPadded, model.projectBias);
  const splitLeft = linear(model.left, new Float32Array(p));
  const splitRight = linear(model.right, model.rightBias);
  /** a_c or a_n of every head [M·p × M]: head m in rows m·p.. of column m. */
  const vectors = (which: 'centre' | 'neighbour') => {
    const blocks = new Float32Array(M * p * M);
    model.heads.forEach((head, m) => {
      for (let c = 0; c < p; c++) blocks[(m * p + c) * M + m] = head[which][c];
    });
    return tf.tensor2d(blocks, [M * p, M]);
  };
  const centre = vectors('centre');
  const neighbour = vectors('neighbour');
  const outputBiases = model.heads.map((head) => tf.tensor1d(head.outputBias));
  const positive = column(model.positive);
  const negative = column(model.negative);
  const linears = new Set([project, reproject, splitLeft, splitRight]);
  const constants: Tensor[] = [...linears].flatMap(({ weight, bias }) => [weight, bias]);
  constants.push(centre, neighbour, ...outputBiases, positive, negative);

  const nodesOfAPiece = Math.max(1, Math.floor(pieceBytes / (4 * width * p)));
  const edgesOfAPiece = nodesOfAPiece * width;

  const matrix = (values: Float32Array, columns: number) => tf.tensor2d(values, [values.length / columns, columns]);
  const multiply = (x: Tensor2D, { weight, bias }: typeof project) => tf.fused.matMul({ a: x, b: weight, bias });

  /** Runs `compute` on items [from, to) of each piece and puts the tensors it returns at their place in `outs`. */
  function inPieces(
    count: number,
    size: number,
    outs: Float32Array[],
    compute: (from: number, to: number) => Tensor[],
  ) {
    for (let from = 0; from < count; from += size) {
      const to = Math.min(count, from + size);
      tf.tidy(() => {
        compute(from, to).forEach((result, i) => {
          outs[i].set(result.dataSync<'float32'>(), (from * result.size) / (to - from));
        });
      });
    }
  }

  /** Attention of the first `count` nodes, in pieces; `finish` makes the results from its rows [n × p]. */
  function attend(count: number, outs: Float32Array[], finish: (attended: Tensor2D) => Tensor[]): void {
    let last = 0;
    for (let k = 0; k < count * width; k++) {
      const row = tile.lists[k];
      entries[k] = row < 0 ? 0 : row * M;
      masks[k] = row < 0 ? absent : 0;
      if (row > last) last = row;
    }
    tf.tidy(() => {
      const local = matrix(tile.rows.subarray(0, (last + 1) * M * p), p);
      const localT = tf.tensor1d(tile.rowT.subarray(0, (last + 1) * M));
      inPieces(count, nodesOfAPiece, outs, (from, to) => {
        const n = to - from;
        const list = tf.tensor2d(entries.subarray(from * width, to * width), [n * width, 1], 'int32');
        const mask = matrix(masks.subarray(from * width, to * width), width);
        const s = matrix(tile.s.subarray(from * M, to * M), M);
        const perHead = model.heads.map((head, m) => {
          const at = tf.add<Tensor2D>(list, tf.scalar(m, 'int32'));
          const t = tf.reshape(tf.gatherND(localT, at), [n, width]);
          const e = tf.add(tf.add(tf.slice(s, [0, m], [n, 1]), t), head.attentionBias);
          const share = tf.softmax(tf.add(tf.leakyRelu(e, alpha), mask));
          const read = tf.reshape(tf.gatherND(local, at), [n, width, p]);
          const sum = tf.reshape(tf.matMul(tf.reshape(share, [n, 1, width]), read), [n, p]);
          return tf.relu(tf.add<Tensor2D>(sum, outputBiases[m]));
        });
        const total = perHead.reduce((sum, rows) => tf.add<Tensor2D>(sum, rows));
        return finish(M === 1 ? total : tf.mul<Tensor2D>(total, 1 / M));
      });
    });
  }

  const stages: Record<ConcatStage, (count: number) => Promise<void>> = {
    async project(count) {
      inPieces(count, count, [tile.h, tile.s, tile.t], () => {
        const h = multiply(matrix(tile.x.subarray(0, count * dim), dim), project);
        return [h, tf.matMul(h, centre), tf.matMul(h, neighbour)];
      });
    },
    async aggregate(count) {
      attend(count, [tile.h, tile.t], (z) => {
        const h = multiply(z, reproject);
        return [h, tf.matMul(h, neighbour)];
      });
    },
    async embed(count) {
      attend(count, [tile.centres], (c) => [c]);
    },
    async split(count) {
      inPieces(count, count, [tile.left, tile.right], () => {
        const c = matrix(tile.centres.subarray(0, count * p), p);
        return [multiply(c, splitLeft), multiply(c, splitRight)];
      });
    },
    async score(edgeCount) {
      let lastLeft = 0;
      let lastRight = 0;
      for (let e = 0; e < edgeCount; e++) {
        lastLeft = Math.max(lastLeft, tile.pairs[2 * e]);
        lastRight = Math.max(lastRight, tile.pairs[2 * e + 1]);
      }
      tf.tidy(() => {
        const left = matrix(tile.left.subarray(0, (lastLeft + 1) * p), p);
        const right = matrix(tile.rows.subarray(0, (lastRight + 1) * p), p);
        inPieces(edgeCount, edgesOfAPiece, [tile.scores], (from, to) => {
          const n = to - from;
          const pairs = tf.tensor2d(tile.pairs.subarray(2 * from, 2 * to), [n, 2], 'int32');
          const end = (rows: Tensor2D, side: 0 | 1) => tf.gatherND(rows, tf.slice(pairs, [0, side], [n, 1]));
          const x = tf.add<Tensor2D>(end(left, 0), end(right, 1));
          const above = tf.relu(x);
          const gap = tf.add(tf.matMul(above, positive), tf.matMul(tf.sub<Tensor2D>(x, above), negative));
          return [tf.sigmoid(tf.add(gap, model.gapBias))];
        });
      });
    },
  };

  return {
    name: 'tfjs',
    provider: device,
    tile,
    run: (stage, count) => stages[stage](count),
    async release() {
      tf.dispose(constants);
    },
  };
}
