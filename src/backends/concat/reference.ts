/** The oracle: plain loops over float64 sums, written to be checked by eye against the formulas. */
import type { FactoredModel } from '../../model/factored.js';
import type { BackendOptions, ConcatBackend, TileCapacity } from '../backend.js';
import { type ConcatStage, concatLayout } from '../stages.js';
import { allocateTile } from '../tile.js';

export async function createReference(
  model: FactoredModel,
  capacity: TileCapacity,
  _options: BackendOptions,
): Promise<ConcatBackend> {
  const { paddedDim: p, alpha, heads } = model;
  const { nodes, width } = capacity;
  const M = heads.length;
  const tile = allocateTile(concatLayout(model, capacity));
  const z = new Float32Array(nodes * p);

  /** out_i = mean over heads of ReLU(Σ_j softmax_j(LeakyReLU(s_i + t_j + β)) row_j + g). */
  function attend(count: number, out: Float32Array): void {
    out.fill(0, 0, count * p);
    for (let i = 0; i < count; i++) {
      const list = tile.lists.subarray(i * width, (i + 1) * width);
      const length = list.indexOf(-1) < 0 ? width : list.indexOf(-1);
      heads.forEach((head, m) => {
        const e = Array.from(list.subarray(0, length), (row) => {
          const x = tile.s[i * M + m] + tile.rowT[row * M + m] + head.attentionBias;
          return x > 0 ? x : alpha * x;
        });
        const largest = e.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
        const sum = e.reduce((total, x) => total + Math.exp(x - largest), 0);
        for (let c = 0; c < p; c++) {
          let value = head.outputBias[c];
          for (let j = 0; j < length; j++) {
            value += (Math.exp(e[j] - largest) / sum) * tile.rows[(list[j] * M + m) * p + c];
          }
          out[i * p + c] += Math.max(value, 0) / M;
        }
      });
    }
  }

  /** t_i = a · h_i for each head. */
  function dots(count: number, vector: 'centre' | 'neighbour', out: Float32Array): void {
    for (let i = 0; i < count; i++) {
      heads.forEach((head, m) => {
        let sum = 0;
        for (let c = 0; c < p; c++) sum += head[vector][c] * tile.h[(i * M + m) * p + c];
        out[i * M + m] = sum;
      });
    }
  }

  const stages: Record<ConcatStage, (count: number) => Promise<void>> = {
    async project(count) {
      linear(count, tile.x, model.projectRaw, model.projectBias, tile.h);
      dots(count, 'centre', tile.s);
      dots(count, 'neighbour', tile.t);
    },
    async aggregate(count) {
      attend(count, z);
      linear(count, z, model.projectPadded, model.projectBias, tile.h);
      dots(count, 'neighbour', tile.t);
    },
    async embed(count) {
      attend(count, tile.centres);
    },
    async split(count) {
      linear(count, tile.centres, model.left, new Float32Array(p), tile.left);
      linear(count, tile.centres, model.right, model.rightBias, tile.right);
    },
    async score(edgeCount) {
      for (let e = 0; e < edgeCount; e++) {
        const a = tile.pairs[2 * e] * p;
        const b = tile.pairs[2 * e + 1] * p;
        let gap = model.gapBias;
        for (let c = 0; c < p; c++) {
          const x = tile.left[a + c] + tile.rows[b + c];
          gap += x > 0 ? model.positive[c] * x : model.negative[c] * x;
        }
        tile.scores[e] = 1 / (1 + Math.exp(-gap));
      }
    },
  };

  return {
    name: 'reference',
    tile,
    run: (stage, count) => stages[stage](count),
    async release() {},
  };
}

/** y = x Wᵀ + b; W [N × K]. */
function linear(count: number, x: Float32Array, weight: Float32Array, bias: Float32Array, y: Float32Array): void {
  const outputs = bias.length;
  const inputs = weight.length / outputs;
  for (let i = 0; i < count; i++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let k = 0; k < inputs; k++) sum += weight[o * inputs + k] * x[i * inputs + k];
      y[i * outputs + o] = sum;
    }
  }
}
