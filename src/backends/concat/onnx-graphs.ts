/**
 * The five stages of a tile as ONNX graphs, with weights as constants. Inputs and outputs are named as the arrays of the tile.
 *
 * Shapes: B nodes, R local rows, E edges, w list width, d features, p = d padded, M heads. Sizes may be numbers, for
 * providers that plan for one shape, or left to run time by a name.
 *
 * A head is a batch entry of its own: rows [R × M·p] are read as [R·M × p] and a list entry j of head m as row j·M + m, so
 * one gather serves all heads. Products with one row or column are a Mul and a ReduceSum: the tiles of a GPU's MatMul would
 * are empty but for that one. Where a list ends, `mask` is a large negative number (0 elsewhere) and the entry any row.
 */
import { constant, node, onnxModel, type Port } from '../../kernels/onnx-graph.js';
import type { FactoredModel } from '../../model/factored.js';
import type { ConcatStage } from '../stages.js';

/** B, R·M, E and R: sizes of inputs by stage. */
type Size = number | string;
export interface GraphSizes {
  readonly nodes: Size;
  readonly headRows: Size;
  readonly rows: Size;
  readonly edges: Size;
  readonly width: number;
}

type Part = Uint8Array;

/** The graph of one stage as a model file. */
export function stageGraph(stage: ConcatStage, model: FactoredModel, sizes: GraphSizes): Uint8Array {
  return { project, aggregate, embed, split, score }[stage](model, sizes);
}

/** x [B × d] → h [B × M·p], s and t [B × M]. */
function project(model: FactoredModel, { nodes }: GraphSizes): Uint8Array {
  const { dim, paddedDim: p, heads } = model;
  const M = heads.length;
  const byHead = headDots(model, { s: 'centre', t: 'neighbour' });
  return onnxModel({
    nodes: [node('Gemm', ['x', 'W', 'b'], ['h'], { transB: 1 }), ...byHead.nodes],
    constants: [
      constant('W', [M * p, dim], model.projectRaw),
      constant('b', [M * p], model.projectBias),
      ...byHead.constants,
    ],
    inputs: [['x', [nodes, dim]]],
    outputs: [
      ['h', [nodes, M * p]],
      ['s', [nodes, M]],
      ['t', [nodes, M]],
    ],
  });
}

/** Attention over the lists → z; h = W z + b [B × M·p], t [B × M]. */
function aggregate(model: FactoredModel, sizes: GraphSizes): Uint8Array {
  const { paddedDim: p, heads } = model;
  const M = heads.length;
  const attention = attend(model, sizes, 'z');
  const byHead = headDots(model, { t: 'neighbour' });
  return onnxModel({
    nodes: [...attention.nodes, node('Gemm', ['z', 'W', 'b'], ['h'], { transB: 1 }), ...byHead.nodes],
    constants: [
      ...attention.constants,
      constant('W', [M * p, p], model.projectPadded),
      constant('b', [M * p], model.projectBias),
      ...byHead.constants,
    ],
    inputs: attention.inputs,
    outputs: [
      ['h', [sizes.nodes, M * p]],
      ['t', [sizes.nodes, M]],
    ],
  });
}

/** Attention over the lists → centres [B × p]. */
function embed(model: FactoredModel, sizes: GraphSizes): Uint8Array {
  const attention = attend(model, sizes, 'centres');
  return onnxModel({ ...attention, outputs: [['centres', [sizes.nodes, model.paddedDim]]] });
}

/** centres c [B × p] → left = A c and right = B c + b1 [B × p]. */
function split(model: FactoredModel, { nodes }: GraphSizes): Uint8Array {
  const { paddedDim: p } = model;
  return onnxModel({
    nodes: [
      node('Gemm', ['centres', 'A'], ['left'], { transB: 1 }),
      node('Gemm', ['centres', 'B', 'b1'], ['right'], { transB: 1 }),
    ],
    constants: [
      constant('A', [p, p], model.left),
      constant('B', [p, p], model.right),
      constant('b1', [p], model.rightBias),
    ],
    inputs: [['centres', [nodes, p]]],
    outputs: [
      ['left', [nodes, p]],
      ['right', [nodes, p]],
    ],
  });
}

/** left [B × p], right [R × p]; rows of left and right of each edge, first and second [E] → scores [E × 1]. */
function score(model: FactoredModel, { nodes, rows, edges }: GraphSizes): Uint8Array {
  const { paddedDim: p } = model;
  return onnxModel({
    nodes: [
      node('Gather', ['left', 'first'], ['a'], { axis: 0 }),
      node('Gather', ['right', 'second'], ['b'], { axis: 0 }),
      node('Add', ['a', 'b'], ['sum']),
      // PRelu and its weight in one: not every provider has PRelu.
      node('Greater', ['sum', 'zero'], ['isPositive']),
      node('Where', ['isPositive', 'positive', 'negative'], ['weights']),
      node('Mul', ['sum', 'weights'], ['products']),
      node('ReduceSum', ['products', 'columnAxis'], ['product'], { keepdims: 1 }),
      node('Add', ['product', 'bias'], ['gap']),
      node('Sigmoid', ['gap'], ['scores']),
    ],
    constants: [
      constant('zero', [], new Float32Array(1)),
      constant('positive', [p], model.positive),
      constant('negative', [p], model.negative),
      constant('bias', [1], Float32Array.of(model.gapBias)),
      constant('columnAxis', [1], BigInt64Array.of(1n)),
    ],
    inputs: [
      ['left', [nodes, p]],
      ['right', [rows, p]],
      ['first', [edges], 'int32'],
      ['second', [edges], 'int32'],
    ],
    outputs: [['scores', [edges, 1]]],
  });
}

/**
 * rows [R·M × p], rowT [R·M], s [B × M × 1], lists [B × M × w], mask [B × 1 × w] → `out` [B × p], the mean over heads of
 * ReLU(Σ_j softmax_j(LeakyReLU(s + t_j + β) + mask_j) row_j + g).
 */
function attend(model: FactoredModel, sizes: GraphSizes, out: string) {
  const { paddedDim: p, heads, alpha } = model;
  const { nodes, headRows, width } = sizes;
  const M = heads.length;
  const outputBias = new Float32Array(M * p);
  for (let m = 0; m < M; m++) outputBias.set(heads[m].outputBias, m * p);
  const parts: Part[] = [
    node('Gather', ['rowT', 'lists'], ['listT'], { axis: 0 }),
    node('Add', ['s', 'beta'], ['centre']),
    node('Add', ['listT', 'centre'], ['logits']),
    node('LeakyRelu', ['logits'], ['bent'], { alpha: { float: alpha } }),
    node('Add', ['bent', 'mask'], ['masked']),
    node('Softmax', ['masked'], ['weights'], { axis: 2 }),
    node('Unsqueeze', ['weights', 'columnAxis'], ['weightColumns']),
    node('Gather', ['rows', 'lists'], ['listRows'], { axis: 0 }),
    node('Mul', ['listRows', 'weightColumns'], ['weighted']),
    node('ReduceSum', ['weighted', 'listAxis'], ['sums'], { keepdims: 0 }),
    node('Add', ['sums', 'g'], ['biased']),
    node('Relu', ['biased'], ['heads']),
    node('ReduceMean', ['heads'], [out], { axes: [1], keepdims: 0 }),
  ];
  const inputs: Port[] = [
    ['rows', [headRows, p]],
    ['rowT', [headRows]],
    ['s', [nodes, M, 1]],
    ['lists', [nodes, M, width], 'int32'],
    ['mask', [nodes, 1, width]],
  ];
  const constants = [
    constant(
      'beta',
      [M, 1],
      Float32Array.from(heads, (head) => head.attentionBias),
    ),
    constant('g', [M, p], outputBias),
    constant('listAxis', [1], BigInt64Array.of(2n)),
    constant('columnAxis', [1], BigInt64Array.of(3n)),
  ];
  return { nodes: parts, constants, inputs };
}

/** Nodes that compute each output [B × M]: the dot products of its vector with each head's part of h [B × M·p]. */
function headDots({ paddedDim: p, heads }: FactoredModel, outputs: Readonly<Record<string, 'centre' | 'neighbour'>>) {
  const M = heads.length;
  const nodes = [node('Reshape', ['h', 'headShape'], ['headRows'])];
  const constants = [
    constant('headShape', [3], BigInt64Array.of(-1n, BigInt(M), BigInt(p))),
    constant('dotAxis', [1], BigInt64Array.of(2n)),
  ];
  for (const [out, name] of Object.entries(outputs)) {
    const vectors = new Float32Array(M * p);
    for (let m = 0; m < M; m++) vectors.set(heads[m][name], m * p);
    constants.push(constant(`${out}Vectors`, [M, p], vectors));
    nodes.push(node('Mul', ['headRows', `${out}Vectors`], [`${out}Products`]));
    nodes.push(node('ReduceSum', [`${out}Products`, 'dotAxis'], [out], { keepdims: 0 }));
  }
  return { nodes, constants };
}
