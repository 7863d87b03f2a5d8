/** Adds rows to a labelled set without finding and scoring all again. */
import { type FeatureSource, locateSource } from '../io/feature-source.js';
import { shapeOf } from '../io/matrix.js';
import { itemsOf } from './assign.js';
import { cannotLinkOf, checkItems, type NextRunOptions, type NextRunResult, nextRun, openRun } from './next-run.js';

export interface AddOptions extends NextRunOptions {
  /** The rows that join. */
  readonly features: FeatureSource;
  /** Their names; default: those beside the features. */
  readonly items?: string | undefined;
  /** Decisions to honour; default: those of the run. */
  readonly constraints?: string | undefined;
}

/**
 * Writes a run of the rows of `run` and behind them those of `features` to `out`, with all that it needs to be gone on from. The labels are
 * those of a labelling of all rows with the graph that it has, numbered as in `run`.
 * Throws as `label`, and BAD_INPUT where files of the run are missing or are not as they were.
 */
export async function add(options: AddOptions): Promise<NextRunResult> {
  const opened = await openRun(options);
  const { facts, previous } = opened;
  const features = await locateSource(options.features, options.dim);
  const items = await itemsOf(options);
  await checkItems(previous, items, shapeOf(features).rowCount);
  const constraints = options.constraints ?? (facts.constraints as string | undefined);
  const stays = previous.labels.map((_, row) => row);
  return nextRun(
    opened,
    { stays, fresh: { features, items }, constraints },
    { ...options, cannotLinkWithin: cannotLinkOf(facts, options.cannotLinkWithin) },
  );
}
