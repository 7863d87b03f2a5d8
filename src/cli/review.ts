import { once } from 'node:events';
import { review } from '../jobs/review.js';
import type { Run } from './command.js';
import { count } from './format.js';

export const run: Run<'review'> = async ({ run, images, decisions, port }, { signal, log, tell }) => {
  const serving = await review({ run, images, decisions, port, onNotice: log.warn });
  try {
    tell(`open ${serving.url} (Ctrl-C ends the review; decisions go to ${serving.decisions})`);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await serving.close();
  }
  const decided = serving.count();
  return {
    json: { decisions: serving.decisions, decided },
    text: `${count(decided)} decisions are in ${serving.decisions}`,
  };
};
