import { completionFor } from '../options/completion.js';
import type { Run } from './command.js';

export const run: Run<'completion'> = async ({ shell }) => {
  const script = completionFor(shell);
  return { json: { shell, script }, text: script };
};
