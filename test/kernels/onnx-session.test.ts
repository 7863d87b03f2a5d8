import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { node, onnxModel } from '../../src/kernels/onnx-graph.js';
import { InferenceSession, Tensor } from '../../src/kernels/onnx-runtime.js';
import { oneThread, runInto } from '../../src/kernels/onnx-session.js';

describe('runInto', () => {
  it('puts results where they belong and frees the copies made of them', async () => {
    const model = onnxModel({
      nodes: [node('Add', ['x', 'x'], ['double']), node('Neg', ['x'], ['negative'])],
      inputs: [['x', ['n']]],
      outputs: [
        ['double', ['n']],
        ['negative', ['n']],
      ],
    });
    const session = await InferenceSession.create(model, oneThread);
    let returned: Awaited<ReturnType<typeof session.run>> = {};
    const run = session.run.bind(session);
    session.run = async (inputs, results) => {
      returned = await run(inputs, results);
      return returned;
    };
    const memory = new Float32Array(7);
    const outputs = {
      double: new Tensor('float32', memory.subarray(0, 3), [3]),
      negative: new Tensor('float32', memory.subarray(4, 7), [3]),
    };
    await runInto(session, { x: new Tensor('float32', Float32Array.of(1, 2, 3), [3]) }, outputs);
    assert.deepEqual([...memory], [2, 4, 6, 0, -1, -2, -3]);
    for (const copy of Object.values(returned)) assert.equal((copy.data as Float32Array).length, 0);
    await session.release();
  });

  it('leaves memory be that a session returns without a copy', async () => {
    const given = new Tensor('float32', Float32Array.of(1, 2), [2]);
    await runInto({ run: async () => ({ y: given }) } as unknown as InferenceSession, {}, { y: given });
    assert.deepEqual([...(given.data as Float32Array)], [1, 2]);
  });
});
