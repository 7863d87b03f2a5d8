/**
 * The kNN graph that a run with a work directory finds for itself: the search keeps what it has found so far in a folder there, and the
 * graph is kept as well, with what it was found of, so that the same command goes on with it after a crash in what comes later.
 */
import { readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readWork } from '../engine/work-dir.js';
import { NaanError } from '../errors.js';
import type { KnnGraph } from '../graph/knn-graph.js';
import { digestFile, fileState } from '../io/digest.js';
import { parseJsonObject } from '../io/json.js';
import { writeNpy } from '../io/npy-writer.js';
import { writeJson } from '../io/output-file.js';
import { checkOutputs, isOurGraph } from '../io/outputs.js';
import { version } from '../version.js';
import type { LabelOptions } from './label-plan.js';

const search = z.object({ k: z.number(), method: z.string(), recall: z.number(), backend: z.string().optional() });

/** How a graph was found: neighbours of a row, method, recall on sampled rows, and the device's back-end. */
export type Search = Readonly<z.infer<typeof search>>;

/** The folder of the search in the work directory of a run. */
function searchFolder(workDir: string): string {
  return join(workDir, 'search');
}

/** The folder that says how far a run in a work directory is: that of the search while there is no more than that. */
export function folderAtWork(workDir: string): string {
  const folder = searchFolder(workDir);
  const found = readWork(folder);
  return found && !found.finished ? folder : workDir;
}

export class KeptGraph {
  /** Where the graph is: where it is asked for, or in the work directory. */
  readonly file: string;
  /** Where the search keeps what it has found. */
  readonly folder: string;
  private readonly record: string;

  /** Throws BAD_USAGE for features in memory. */
  constructor(
    private readonly options: LabelOptions & { readonly workDir: string },
    private readonly k: number,
  ) {
    if (typeof options.features !== 'string') {
      throw new NaanError('BAD_USAGE', 'work-dir: features in memory, expected a file');
    }
    this.folder = searchFolder(options.workDir);
    this.file = options.saveKnn ?? join(this.folder, 'graph.npy');
    this.record = join(this.folder, 'graph.json');
  }

  /** How the graph was found that an earlier process has kept; undefined where none is as it was left, or of the same features and options. */
  async find(): Promise<Search | undefined> {
    if (this.options.restart) return undefined;
    try {
      const record = parseJsonObject(readFileSync(this.record, 'utf8'));
      const now = await this.describe();
      const same = Object.entries(now).every(
        ([name, value]) => JSON.stringify(record?.[name]) === JSON.stringify(value),
      );
      return same ? search.parse(record?.search) : undefined;
    } catch {
      return undefined; // what cannot be read is found again
    }
  }

  async keep({ ids, nodeCount, width }: KnnGraph, found: Search): Promise<void> {
    const file = { name: 'work-dir', path: this.file, isOurs: isOurGraph, otherwise: 'is no kNN graph' };
    await checkOutputs([file], {}, this.options.overwrite);
    await writeNpy(this.file, 'i4', [nodeCount, width], ids);
    await writeJson(this.record, { ...(await this.describe()), search: found });
  }

  /** Takes away what is kept, once nobody needs it any more. */
  remove(): void {
    const own = [this.record, join(this.folder, 'journal'), ...(this.options.saveKnn === undefined ? [this.file] : [])];
    for (const path of own) rmSync(path, { force: true });
    try {
      rmdirSync(this.folder);
    } catch {
      // what is not ours stays
    }
  }

  /** Everything that the graph depends on, and the graph. */
  private async describe(): Promise<Readonly<Record<string, unknown>>> {
    const { features, duplicates = 'collapse', badRows = 'refuse' } = this.options;
    return {
      naan: version,
      k: this.k,
      duplicates,
      badRows,
      features: await fileState(features as string),
      graph: (await digestFile(this.file)).sampledSha256,
    };
  }
}
