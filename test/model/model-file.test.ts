import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { absentPairs } from '../../src/cluster/linkage.js';
import { writeSafetensors } from '../../src/io/safetensors.js';
import { expectedTensors, type ModelConfig, type NaanModel, type Tensor } from '../../src/model/model.js';
import { readModel, writeModel } from '../../src/model/model-file.js';
import type { PairwiseConfig } from '../../src/model/pairwise.js';
import { temporaryFolder } from '../io/python.js';

const rising = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

const config: ModelConfig = {
  head: 'concat',
  dim: 3,
  heads: 2,
  alpha: 0.2,
  k1: 20,
  k2: 10,
  sampleHops: 15,
  partition: 'propagation',
  threshold: 0.8125,
  thresholds: { threshold: 0.9, propagation: 0.8125 },
  calibration: { bcubed: { f: 0.75, deviation: 0.01 }, pairwise: { f: 0.5, deviation: 0.125 } },
  trainedOn: { cosines: rising, degrees: rising, scores: rising },
  provenance: { trainedOn: 'split0 “a”', seed: '7' },
};

function modelOf(config: ModelConfig): NaanModel {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of expectedTensors(config)) {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length }, (_, i) => Math.sin(i + tensors.size)) });
  }
  return { config, tensors };
}

test('a model survives, calibrated or not', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  const { partition: _, threshold: __, thresholds: ___, calibration: ____, trainedOn: _____, ...imported } = config;
  for (const each of [config, imported]) {
    const model = modelOf(each);
    await writeModel(path, model);
    const read = await readModel(path);
    assert.deepEqual(read.config, each);
    assert.deepEqual([...read.tensors], [...model.tensors]);
  }
});

test('a bound of scores by cosines survives; a file without one has none; what is no bound is refused', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  const pairwise: ModelConfig = {
    head: 'pairwise',
    k: 5,
    rounds: 1,
    hidden: [2],
    sampleHops: 5,
    provenance: {},
  };
  for (const each of [pairwise, { ...pairwise, guard: { from: -0.125, to: 0.1 } }]) {
    await writeModel(path, modelOf(each));
    assert.deepEqual((await readModel(path)).config, each);
  }
  await writeModel(path, modelOf({ ...pairwise, guard: { from: 0.5, to: 0.25 } }));
  await assert.rejects(readModel(path), { code: 'BAD_MODEL', message: /'guard' is '0.5 0.25', expected two cosines/ });
});

test('a profile of the training set that is none is refused', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  await writeModel(path, modelOf({ ...config, trainedOn: { cosines: rising, degrees: rising, scores: [1, 0.5] } }));
  await assert.rejects(readModel(path), {
    code: 'BAD_MODEL',
    message: /'trained_on' is .*, expected a JSON object of/,
  });
});

test('a threshold of linkage from before absent pairs were a choice goes with all of them', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  const linkage: ModelConfig = { ...config, partition: 'linkage', thresholds: { threshold: 0.9, linkage: 0.8125 } };
  await writeModel(path, modelOf(linkage));
  assert.equal((await readModel(path)).config.absentPairs, 'all');
  for (const form of absentPairs) {
    await writeModel(path, modelOf({ ...linkage, absentPairs: form }));
    assert.equal((await readModel(path)).config.absentPairs, form);
  }
  assert.equal((await readModel(path)).config.partition, 'linkage');
});

test('the configuration is metadata that other programs can read', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  await writeModel(path, modelOf(config));
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE())));
  assert.deepEqual(header.__metadata__, {
    head: 'concat',
    dim: '3',
    heads: '2',
    alpha: '0.2',
    k1: '20',
    k2: '10',
    sample_hops: '15',
    partition: 'propagation',
    threshold: '0.8125',
    thresholds: JSON.stringify(config.thresholds),
    calibration: JSON.stringify(config.calibration),
    trained_on: JSON.stringify(config.trainedOn),
    provenance: JSON.stringify(config.provenance),
  });
});

test('a model that lacks a tensor, or has one of wrong shape or not finite, is neither written nor read', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'm.safetensors');
  const good = modelOf(config);
  const name = 'attention.attn_1.w.bias';
  const broken: [change: (tensors: Map<string, Tensor>) => void, message: RegExp][] = [
    [(tensors) => tensors.delete(name), /tensor 'attention\.attn_1\.w\.bias' is missing, expected \[3\]/],
    [
      (tensors) => tensors.set(name, { shape: [1, 3], data: new Float32Array(3) }),
      /has shape \[1 × 3\], expected \[3\]/,
    ],
    [
      (tensors) => tensors.set(name, { shape: [3], data: Float32Array.of(0, Number.NaN, 0) }),
      /attn_1\.w\.bias': element 1 is NaN, not finite/,
    ],
    [(tensors) => tensors.clear(), /0 tensors are too few for 2 attention heads/],
  ];
  await writeModel(path, good);
  const metadata = new Map<string, string>();
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE())));
  for (const [key, value] of Object.entries(header.__metadata__)) metadata.set(key, String(value));
  for (const [change, message] of broken) {
    const tensors = new Map(good.tensors);
    change(tensors);
    const expected = { name: 'NaanError', code: 'BAD_MODEL', message };
    await assert.rejects(writeModel(join(folder, 'never'), { config, tensors }), expected);
    await writeSafetensors(path, { metadata, tensors });
    await assert.rejects(readModel(path), expected);
  }
  assert.deepEqual(await readdir(folder), ['m.safetensors']);

  const wrong: [key: string, value: string | undefined, message: RegExp][] = [
    ['head', undefined, /metadata has no 'head': not a naan model/],
    ['head', 'cosine', /metadata 'head' is 'cosine', expected 'concat'/],
    ['dim', '0', /metadata 'dim' is '0', expected a positive whole number/],
    ['dim', '4', /has shape \[3\], expected \[4\]/],
    ['heads', '3', /tensor 'attention\.attn_2\.bias' is missing/],
    ['heads', '1e7', /too few for 10000000 attention heads/],
    ['alpha', '', /metadata 'alpha' is '', expected a number/],
    ['k1', '2.5', /metadata 'k1' is '2\.5'/],
    ['threshold', '1.5', /metadata 'threshold' is '1\.5', expected a probability/],
    ['provenance', '[1]', /expected a JSON object of text/],
    ['provenance', '{', /expected a JSON object of text/],
  ];
  for (const [key, value, message] of wrong) {
    const changed = new Map(metadata);
    if (value === undefined) changed.delete(key);
    else changed.set(key, value);
    await writeSafetensors(path, { metadata: changed, tensors: good.tensors });
    await assert.rejects(readModel(path), { code: 'BAD_MODEL', message }, `${key} ${value}`);
  }
});

const pairwise: PairwiseConfig = {
  head: 'pairwise',
  k: 20,
  rounds: 2,
  hidden: [8, 4],
  sampleHops: 15,
  threshold: 0.3125,
  partition: 'propagation',
  thresholds: { propagation: 0.3125, threshold: 0.75 },
  provenance: {},
};

test('a pairwise model survives, and is refused when its shape or its features are others', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  const model = modelOf(pairwise);
  await writeModel(path, model);
  const read = await readModel(path);
  assert.deepEqual(read.config, pairwise);
  assert.deepEqual([...read.tensors], [...model.tensors]);
  assert.deepEqual(read.tensors.get('rounds.1.0.weight')?.shape, [8, 31]);

  const { __metadata__ } = JSON.parse(
    readFileSync(path).toString('utf8', 8, 8 + Number(readFileSync(path).readBigUInt64LE())),
  );
  const wrong: [key: string, value: string, message: RegExp][] = [
    ['rounds', '3', /tensor 'rounds\.2\.mean' is missing, expected \[31\]/],
    ['rounds', '1e6', /too few for 1000000 rounds/],
    ['hidden', '8 5', /has shape \[4 × 8\], expected \[5 × 8\]/],
    ['hidden', '8,4', /metadata 'hidden' is '8,4', expected units of each layer/],
    ['k', '255', /metadata 'k' is '255', expected 1\.\.254/],
    ['partition', 'louvain', /metadata 'partition' is 'louvain', expected linkage, threshold, propagation/],
    ['partition', 'whispers', /metadata 'partition' is 'whispers', which .* is no more: train again/],
    ['calibration', '{"bcubed":1}', /metadata 'calibration' is .*, expected a JSON object of bcubed and pairwise/],
    ['features', 'structure-9', /expected 'structure-16 scores-15': train again/],
  ];
  for (const [key, value, message] of wrong) {
    const metadata = new Map<string, string>(Object.entries({ ...__metadata__, [key]: value }));
    await writeSafetensors(path, { metadata, tensors: model.tensors });
    await assert.rejects(readModel(path), { code: 'BAD_MODEL', message }, `${key} ${value}`);
  }
});
