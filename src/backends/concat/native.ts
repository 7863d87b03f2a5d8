/** The default on CPUs: GEMMs by ONNX Runtime, attention and pair scores by WebAssembly SIMD, all in one arena. */
import { Arena } from '../../kernels/arena.js';
import { Linear } from '../../kernels/gemm.js';
import { loadKernels } from '../../kernels/kernels.js';
import type { FactoredModel } from '../../model/factored.js';
import type { BackendOptions, ConcatBackend, TileCapacity } from '../backend.js';
import { type ConcatStage, concatLayout } from '../stages.js';
import { allocateTile } from '../tile.js';

export async function createNative(
  model: FactoredModel,
  capacity: TileCapacity,
  options: BackendOptions,
): Promise<ConcatBackend> {
  const { dim, paddedDim: p, alpha, heads } = model;
  const { nodes, rows, width, edges } = capacity;
  const M = heads.length;
  const floats = nodes * (dim + M * p + 4 * p + 2 * M) + rows * M * (p + 1) + edges + p * (3 * M + 2) + width;
  const arena = new Arena(4 * (floats + nodes * width + 2 * edges), 20 + 3 * M);
  const kernels = loadKernels(arena, options.simd);

  const tile = allocateTile(concatLayout(model, capacity), arena);
  const z = arena.float32(nodes * p);
  const weights = arena.float32(width);
  const local = (data: Float32Array) => {
    const view = arena.float32(data.length);
    view.set(data);
    return view;
  };
  const positive = local(model.positive);
  const negative = local(model.negative);
  const localHeads = heads.map((head) => ({
    centre: local(head.centre),
    neighbour: local(head.neighbour),
    attentionBias: head.attentionBias,
    outputBias: local(head.outputBias),
  }));

  const project = await Linear.create(model.projectRaw, model.projectBias);
  const reproject =
    model.projectPadded === model.projectRaw ? project : await Linear.create(model.projectPadded, model.projectBias);
  const left = await Linear.create(model.left, new Float32Array(p));
  const right = await Linear.create(model.right, model.rightBias);

  function attend(count: number, out: Float32Array): void {
    localHeads.forEach((head, m) => {
      kernels.attend({
        count,
        width,
        dim: p,
        lists: tile.lists,
        rows: tile.rows,
        rowStride: M * p,
        column: m * p,
        centre: tile.s,
        neighbour: tile.rowT,
        scalarStride: M,
        head: m,
        attentionBias: head.attentionBias,
        alpha,
        outputBias: head.outputBias,
        scale: 1 / M,
        accumulate: m > 0,
        out,
        weights,
      });
    });
  }

  function dots(count: number, vector: 'centre' | 'neighbour', out: Float32Array): void {
    localHeads.forEach((head, m) => {
      const rows = { count, dim: p, rows: tile.h, stride: M * p, column: m * p };
      kernels.rowDots({ ...rows, vector: head[vector], out, outStride: M, outColumn: m });
    });
  }

  const stages: Record<ConcatStage, (count: number) => Promise<void>> = {
    async project(count) {
      await project.run(count, tile.x, tile.h);
      dots(count, 'centre', tile.s);
      dots(count, 'neighbour', tile.t);
    },
    async aggregate(count) {
      attend(count, z);
      await reproject.run(count, z, tile.h);
      dots(count, 'neighbour', tile.t);
    },
    async embed(count) {
      attend(count, tile.centres);
    },
    async split(count) {
      await left.run(count, tile.centres, tile.left);
      await right.run(count, tile.centres, tile.right);
    },
    async score(edgeCount) {
      const { pairs, left, rows, scores } = tile;
      const head = { positive, negative, bias: model.gapBias };
      kernels.pairScores({ edgeCount, dim: p, pairs, left, right: rows, ...head, gaps: scores });
      for (let e = 0; e < edgeCount; e++) scores[e] = 1 / (1 + Math.exp(-scores[e]));
    },
  };

  return {
    name: 'native',
    simd: kernels.simd,
    tile,
    run: (stage, count) => stages[stage](count),
    async release() {
      for (const linear of new Set([project, reproject, left, right])) await linear.release();
    },
  };
}
