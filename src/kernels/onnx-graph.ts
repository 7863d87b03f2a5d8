/**
 * Writes ONNX models: the few protobuf messages that a graph of named tensors needs (onnx.proto, IR version 8, opset 17).
 * Each message is written with its field numbers.
 */
const text = new TextEncoder();

type Bytes = Uint8Array;

function concat(parts: Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

const int = (field: number, value: number): Bytes => Uint8Array.from([...varint(field * 8), ...varint(value)]);
const bytes = (field: number, value: Bytes): Bytes =>
  concat([Uint8Array.from([...varint(field * 8 + 2), ...varint(value.length)]), value]);
const string = (field: number, value: string): Bytes => bytes(field, text.encode(value));
const message = (field: number, ...parts: Bytes[]): Bytes => bytes(field, concat(parts));

/** Element types of TensorProto that graphs here use. */
export const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;
type ElementType = keyof typeof elementTypes;

function elementType(data: Float32Array | Int32Array | BigInt64Array): ElementType {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Int32Array ? 'int32' : 'int64';
}

/** A constant tensor. TensorProto: dims 1, data_type 2, name 8, raw_data 9. */
export function constant(
  name: string,
  shape: readonly number[],
  data: Float32Array | Int32Array | BigInt64Array,
): Bytes {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = elementTypes[elementType(data)];
  return concat([...shape.map((size) => int(1, size)), int(2, type), string(8, name), bytes(9, raw)]);
}

/** Integers, or a float as `{ float }`, which is a type of its own in ONNX. */
type Attribute = number | readonly number[] | { readonly float: number };

/** AttributeProto: name 1, f 2, i 3, ints 8, type 20 (FLOAT 1, INT 2, INTS 7). */
function attribute(name: string, value: Attribute): Bytes {
  if (typeof value === 'number') return concat([string(1, name), int(3, value), int(20, 2)]);
  if ('float' in value) {
    const wire = Uint8Array.from([2 * 8 + 5, ...new Uint8Array(Float32Array.of(value.float).buffer)]);
    return concat([string(1, name), wire, int(20, 1)]);
  }
  return concat([string(1, name), ...value.map((item) => int(8, item)), int(20, 7)]);
}

/** One operator. NodeProto: input 1, output 2, op_type 4, attribute 5. */
export function node(
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Bytes {
  return concat([
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  ]);
}

/** Name, shape and type (default float32) of an input or output; a string is a size known only at run time. */
export type Port = readonly [name: string, shape: readonly (number | string)[], type?: ElementType];

/** ValueInfoProto: name 1, type 2 → tensor_type 1 → elem_type 1, shape 2 → dim 1 → value 1 or param 2. */
function port([name, shape, type = 'float32']: Port): Bytes {
  const sizes = shape.map((size) => message(1, typeof size === 'string' ? string(2, size) : int(1, size)));
  return concat([string(1, name), message(2, message(1, int(1, elementTypes[type]), message(2, ...sizes)))]);
}

/** A whole model. GraphProto: node 1, name 2, initializer 5, input 11, output 12. ModelProto: ir 1, graph 7, opset 8. */
export function onnxModel(graph: { nodes: Bytes[]; constants?: Bytes[]; inputs: Port[]; outputs: Port[] }): Bytes {
  return concat([
    int(1, 8),
    message(
      7,
      ...graph.nodes.map((part) => bytes(1, part)),
      string(2, 'naan'),
      ...(graph.constants ?? []).map((part) => bytes(5, part)),
      ...graph.inputs.map((part) => bytes(11, port(part))),
      ...graph.outputs.map((part) => bytes(12, port(part))),
    ),
    message(8, string(1, ''), int(2, 17)),
  ]);
}
