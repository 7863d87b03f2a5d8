import { checkOutputs } from '../io/outputs.js';
import { importCheckpoint } from '../model/import-checkpoint.js';
import { isModelFile, writeModel } from '../model/model-file.js';
import type { Run } from './command.js';
import { table } from './format.js';

export const run: Run<'import-model'> = async ({ checkpoint, out, overwrite }) => {
  const file = { name: 'out', path: out, isOurs: isModelFile, otherwise: 'is no model of naan' };
  await checkOutputs([file], { checkpoint }, overwrite);
  const model = await importCheckpoint(checkpoint);
  await writeModel(out, model);
  const { dim, heads, alpha, k1, k2, sampleHops } = model.config;
  const facts = table([
    ['dimension', String(dim)],
    ['attention heads', String(heads)],
    ['alpha', String(alpha)],
    ['k-hops', `${k1} ${k2}`],
    ['sample-hops', String(sampleHops)],
  ]);
  return { json: { ...model.config, out }, text: `${facts}\n\nwritten to ${out}` };
};
