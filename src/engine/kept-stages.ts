/** The stages whose results a work directory keeps: the files that each leaves, and what it reads of the others. */

import { columnFile } from '../memory/column-files.js';
import type { NaanModel } from '../model/model.js';
import type { HeadStage } from './job.js';

export interface KeptStage {
  readonly stage: HeadStage;
  readonly round: number;
  /** Files that its shards write, each their own part. */
  readonly files: readonly string[];
  /** Earlier stages of this list, all of whose shards it may read. */
  readonly reads: readonly KeptStage[];
}

/** In order. A stage that writes to a file of an earlier one writes over it: nothing after it reads that one. */
export function keptStages({ config }: NaanModel): KeptStage[] {
  const of = (stage: HeadStage, round: number, files: string[], reads: KeptStage[]): KeptStage => {
    return { stage, round, files, reads };
  };
  if (config.head === 'concat') {
    const project = of('project', 0, ['a.rows', columnFile('s'), columnFile('t')], []);
    const aggregate = of('aggregate', 0, ['b.rows', columnFile('tz')], [project]);
    const embed = of('embed', 0, ['c.rows'], [project, aggregate]);
    const split = of('split', 0, ['a.rows', 'b.rows'], [embed]);
    return [project, aggregate, embed, split, of('score', 0, [columnFile('scores')], [split])];
  }
  const load = of('load', 0, ['x.rows'], []);
  const similarities = of('similarities', 0, [columnFile('similarities')], [load]);
  // Round 0 leaves structural features for all later ones.
  const rounds = [of('score', 0, [columnFile('scores0'), 'structure.rows'], [similarities])];
  for (let round = 1; round < config.rounds; round++) {
    rounds.push(
      of('score', round, [columnFile(`scores${round}`)], [similarities, rounds[0], ...rounds.slice(1).slice(-1)]),
    );
  }
  return [load, similarities, ...rounds];
}

/** Of stages that write to the same files the later ones write over the earlier. */
export function writesOver(later: KeptStage, earlier: KeptStage): boolean {
  return later.files.some((file) => earlier.files.includes(file));
}
