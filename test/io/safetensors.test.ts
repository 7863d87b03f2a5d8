import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSafetensors, readSafetensors, type TensorFile, writeSafetensors } from '../../src/io/safetensors.js';
import { python, temporaryFolder, without } from './python.js';

const file: TensorFile = {
  metadata: new Map([
    ['dim', '3'],
    ['note', 'naïve “quotes”'],
  ]),
  tensors: new Map([
    ['b.weight', { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-40, 6) }],
    ['a', { shape: [], data: Float32Array.of(7) }],
    ['none', { shape: [0, 4], data: new Float32Array(0) }],
  ]),
};

/** A file with this header and `dataBytes` zeros. */
function handmade(path: string, header: unknown, dataBytes: number): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return path;
}

test('tensors and metadata survive, in their order', async (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, file);
  const read = readSafetensors(path);
  assert.deepEqual([...read.tensors], [...file.tensors]);
  assert.deepEqual([...read.metadata], [...file.metadata]);
});

test('the layout is the one of the format: another reader finds the same', { skip: without('numpy') }, async (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, file);
  const seen = python(
    `import json, struct, sys, numpy as np
raw = open(sys.argv[1], 'rb').read()
n, = struct.unpack('<Q', raw[:8]); assert n % 8 == 0
header = json.loads(raw[8:8 + n]); data = raw[8 + n:]
meta = header.pop('__metadata__'); end = 0; out = {}
for name, h in sorted(header.items(), key=lambda item: item[1]['data_offsets']):
  b, e = h['data_offsets']; assert b == end and h['dtype'] == 'F32'; end = e
  out[name] = np.frombuffer(data[b:e], '<f4').reshape(h['shape']).astype('f8').tolist()
assert end == len(data)
print(json.dumps([meta, out]))`,
    path,
  );
  const tensors = { 'b.weight': [[1, -2, 3.5], [0, Math.fround(1e-40), 6]], a: 7, none: [] }; // biome-ignore format: rows
  assert.deepEqual(JSON.parse(seen), [Object.fromEntries(file.metadata), tensors]);
});

test('halves, bfloat16 and doubles become float32', { skip: without('torch') }, async (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  python(
    `import json, struct, sys, torch
values = torch.tensor([1.5, -0.1, 3e-6, 0.0, 60000.0])
header, data = {}, b''
for name, dtype in [('F16', torch.half), ('BF16', torch.bfloat16), ('F64', torch.double)]:
  x = values.to(dtype); raw = bytes(x.view(torch.int16 if x.element_size() == 2 else torch.int64).numpy().tobytes())
  header[name] = dict(dtype=name, shape=[5], data_offsets=[len(data), len(data) + len(raw)]); data += raw
  raw = x.float().numpy().tobytes()
  header[name + ' expected'] = dict(dtype='F32', shape=[5], data_offsets=[len(data), len(data) + len(raw)]); data += raw
text = json.dumps(header).encode()
open(sys.argv[1], 'wb').write(struct.pack('<Q', len(text)) + text + data)`,
    path,
  );
  const { tensors } = readSafetensors(path);
  for (const name of ['F16', 'BF16', 'F64']) assert.deepEqual(tensors.get(name), tensors.get(`${name} expected`), name);
});

test('what is no safetensors file, or contradicts itself, is refused', (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  const tensor = (more: object) => ({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...more } });
  const other = { y: { dtype: 'F32', shape: [2], data_offsets: [4, 12] } };
  const refused: [header: unknown, message: RegExp][] = [
    ['{', /its header is not a JSON object/],
    ['[]', /its header is not a JSON object/],
    [tensor({ dtype: 'I64' }), /tensor 'x': dtype 'I64', expected F16, BF16, F32, F64/],
    [tensor({ dtype: ['F32'] }), /tensor 'x': dtype missing/],
    [tensor({ shape: [3] }), /tensor 'x': 8 bytes, expected 12 for shape \[3\]/],
    [tensor({ shape: [-2] }), /its shape is not a list of sizes/],
    [tensor({ shape: 2 }), /its shape is not a list of sizes/],
    [tensor({ data_offsets: [8, 16] }), /bytes 8 to 16 are outside the 12 of the file/],
    [tensor({ data_offsets: [8, 0] }), /bytes 8 to 0 are outside/],
    [tensor({ data_offsets: [0] }), /its data_offsets are not two offsets/],
    [{ ...tensor({}), ...other }, /tensors 'x' and 'y' overlap/],
    [{ x: 1 }, /tensor 'x': its description is not an object/],
  ];
  for (const [header, message] of refused) {
    handmade(path, header, 12);
    assert.throws(
      () => readSafetensors(path),
      { name: 'NaanError', code: 'BAD_INPUT', message },
      JSON.stringify(header),
    );
  }
  const bytes: [content: Buffer, message: RegExp][] = [
    [Buffer.alloc(0), /is empty/],
    [Buffer.from('PK\x03\x04 some archive that is long'), /is not a safetensors file/],
    [Buffer.alloc(16, 'x'), /header would take/],
    [Buffer.from([200, 0, 0, 0, 0, 0, 0, 0, 123, 125]), /its header ends at byte 208, the file at 10/],
  ];
  for (const [content, message] of bytes) {
    writeFileSync(path, content);
    assert.throws(() => readSafetensors(path), { code: 'BAD_INPUT', message });
  }
});

test('tensors of other elements are only refused when they are read, and metadata that is no text is text', (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  const header = {
    __metadata__: { dim: 3, note: null, thresholds: { linkage: 0.5 } },
    steps: { dtype: 'I64', shape: [], data_offsets: [4, 12] },
    x: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
  };
  const { metadata, tensors, read } = openSafetensors(handmade(path, header, 12));
  assert.deepEqual(Object.fromEntries(metadata), { dim: '3', note: 'null', thresholds: '{"linkage":0.5}' });
  assert.deepEqual([...tensors.keys()], ['x', 'steps']);
  assert.deepEqual([...read(['x'])], [['x', { shape: [1], data: Float32Array.of(0) }]]);
  assert.throws(() => read(['steps']), { code: 'BAD_INPUT', message: /tensor 'steps': dtype 'I64'/ });
});

test('a header that no model needs is refused before it is read', (t) => {
  const path = join(temporaryFolder(t), 'x.safetensors');
  handmade(path, ' '.repeat(2 ** 24 + 1), 0);
  assert.throws(() => openSafetensors(path), {
    message: /its header would take 16777217 bytes, expected at most 16777216/,
  });
});
