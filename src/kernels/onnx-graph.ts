/**
 * Writes ONNX models: the few protobuf messages that a graph of named tensors needs (onnx.proto, IR version 8, opset 17).
 * Field numbers stand beside each message.
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

/** A constant float32 tensor. TensorProto: dims 1, data_type 2, name 8, raw_data 9. */
export function constant(name: string, shape: readonly number[], data: Float32Array): Bytes {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return concat([...shape.map((size) => int(1, size)), int(2, 1), string(8, name), bytes(9, raw)]);
}

/** One operator. NodeProto: input 1, output 2, op_type 4, attribute 5 (AttributeProto: name 1, i 3, type 20 = INT). */
export function node(op: string, inputs: string[], outputs: string[], attributes: Record<string, number> = {}): Bytes {
  return concat([
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) => message(5, string(1, name), int(3, value), int(20, 2))),
  ]);
}

/** Name and shape of a float32 input or output; a string is a size known only at run time. */
export type Port = readonly [name: string, shape: readonly (number | string)[]];

/** ValueInfoProto: name 1, type 2 → tensor_type 1 → elem_type 1, shape 2 → dim 1 → value 1 or param 2. */
function port([name, shape]: Port): Bytes {
  const sizes = shape.map((size) => message(1, typeof size === 'string' ? string(2, size) : int(1, size)));
  return concat([string(1, name), message(2, message(1, int(1, 1), message(2, ...sizes)))]);
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
