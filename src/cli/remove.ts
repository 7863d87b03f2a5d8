import { remove } from '../jobs/remove.js';
import { describeNext } from './add.js';
import type { Run } from './command.js';

export const run: Run<'remove'> = async (values, { signal, onProgress, log, commandLine }) => {
  const result = await remove({ ...values, signal, onProgress, onNotice: log.warn, commandLine });
  return { json: { ...result.summary, ...result.change, out: values.out }, text: describeNext(result, values.out) };
};
