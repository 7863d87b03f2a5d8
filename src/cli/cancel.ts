import { cancel } from '../jobs/cancel.js';
import type { Run } from './command.js';

export const run: Run<'cancel'> = async (values, { log, clusterPassword }) => {
  const { workDir } = values;
  const found = await cancel({ ...values, clusterPassword, onNotice: log.warn });
  const text = found
    ? `the run in ${workDir} is to stop; the same naan label command goes on with it`
    : `nobody works on the run in ${workDir}`;
  return { json: { workDir, cancelled: found }, text };
};
