/** The files of a labelling run: their names, whether they may be written, and what run.json says. */
import { basename, join } from 'node:path';
import type { Partition, PartitionOptions } from '../cluster/partition.js';
import { clustersOf } from '../cluster/relabel.js';
import type { MemoryPlan } from '../engine/memory-plan.js';
import { type ClusterTable, clusterTable, clusterTableName, writeClusterTable } from '../io/cluster-table.js';
import { digestFile, type FileDigest } from '../io/digest.js';
import { isStandardInput, parseInput } from '../io/input-file.js';
import type { Items } from '../io/item-list.js';
import { labelTableName, nameTableName, writeLabelTable, writeNameTable } from '../io/label-table.js';
import { writeLabelText } from '../io/labels.js';
import { writeNpy } from '../io/npy-writer.js';
import { writeJson, writeText, writeTogether } from '../io/output-file.js';
import { isRecorded, type OutputRecord, readRecord, recordName, recordOutputs } from '../io/output-record.js';
import { checkOutputs, isOurGraph, isOurJson, isOurPage, type Output } from '../io/outputs.js';
import type { ModelConfig } from '../model/model.js';
import type { ScoreCurves } from '../report/curves.js';
import { version } from '../version.js';
import { columnInput, itemsFileOf } from './decided-rows.js';
import type { LabelResult, LabelSummary } from './label.js';
import type { LabelOptions, LabelPlan } from './label-plan.js';
import { changeTableName, filesOfRun, writeChanges } from './previous-run.js';
import type { RunDescription } from './run-description.js';

/** run.json: what was asked for, what was done, and what came of it. */
export interface RunRecord extends OutputRecord, LabelSummary {
  readonly naan: string;
  readonly node: string;
  readonly options: Omit<PartitionOptions, 'constraints'> & {
    readonly features: string;
    readonly knn: string;
    readonly model: string;
    readonly items: string | undefined;
    readonly constraints: string | undefined;
    readonly cannotLinkWithin: string | undefined;
    readonly previous: string | undefined;
    readonly out: string | undefined;
    readonly backend: string;
    readonly provider: string | undefined;
    readonly batch: number;
    readonly saveEdges: boolean;
    readonly duplicates: string;
    readonly badRows: string;
    readonly minSize: number | undefined;
    readonly minTrust: number | undefined;
    readonly trust: boolean;
    readonly report: boolean;
    readonly partition: Partition;
    readonly k1: number;
    readonly k2: number;
    readonly sampleHops: number;
  };
  /** The options that were given, as a config file has them: `--config run.json` runs it again. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly optionSources?: Readonly<Record<string, string>>;
  /** The command line, place and time of the run. */
  readonly run: RunDescription;
  readonly engine: EngineRecord;
  readonly plan: MemoryPlan;
  readonly inputs: readonly FileDigest[];
  readonly model: ModelConfig;
  /** The notices that the run gave to the user. */
  readonly notices: readonly string[];
  /** With `report`: the curves of the scores. */
  readonly curves?: ScoreCurves;
  /** The highest label that this run or one that it goes on from has given: none is given twice. */
  readonly highestIdentity: number;
}

/** The settings and counts of the engine. */
export interface EngineRecord {
  readonly threads: number;
  readonly shards: number;
  readonly backend?: string;
  readonly simd?: string;
  readonly devices?: readonly object[];
  /** Rows that tiles copied from their halos, for each node: each stage that gathers costs at least 1. */
  readonly rowsGatheredPerNode: number;
  readonly haloFactor: number;
  /** Share of the threads' time that they worked, by part and over all parts. */
  readonly busy: Readonly<Record<string, number>>;
  readonly busyShare: number;
  /** For a run shared by machines: the way of sharing, the digest of the arithmetic, and the number of ranks. */
  readonly cluster?: string;
  readonly arithmetic?: string;
  readonly ranks?: number;
}

const marginSuffix = '_margins.npy';
const edgeSuffixes = ['_edges.npy', '_scores.npy'];
const roundSuffix = '_rounds.npy';

/** Checks, before anything is computed, that labels replace neither inputs nor files that are not naan's. */
export async function checkFiles(out: string, options: LabelOptions, items: Items | undefined): Promise<void> {
  const { features, knn, model, overwrite } = options;
  const files: Output[] = outputNames(options, items).map((name) => ({
    name: 'out',
    path: join(out, name),
    isOurs: isRecorded,
    otherwise: 'naan did not write it, or it was changed since',
  }));
  files.push({ name: 'out', path: join(out, recordName), isOurs: isOurJson, otherwise: 'naan did not write it' });
  if (options.report) files.push(reportOutput(join(out, reportName)));
  if (options.saveKnn !== undefined) {
    files.push({ name: 'save-knn', path: options.saveKnn, isOurs: isOurGraph, otherwise: 'is no kNN graph' });
  }
  await checkOutputs(
    files,
    { features, knn, model, items: options.items, ...decisionInputs(options), ...previousInputs(options) },
    overwrite,
  );
}

export const reportName = 'report.html';

/** A page of ours may be replaced. */
export function reportOutput(path: string): Output {
  return { name: 'out', path, isOurs: isOurPage, otherwise: 'naan did not make it' };
}

/** Files of the result, run.json aside. */
function outputNames(options: LabelOptions, items?: Items): string[] {
  const suffixes = ['_labels.txt', '_labels.npy', ...(options.saveEdges ? edgeSuffixes : [])];
  if (options.saveRounds) suffixes.push(roundSuffix);
  const names = suffixes.map((suffix) => outputStem(options) + suffix);
  if (options.trust) names.push(outputStem(options) + marginSuffix, clusterTableName);
  if (options.constraints !== undefined) names.push(nameTableName);
  if (options.previous !== undefined) names.push(changeTableName);
  return items ? [...names, labelTableName] : names;
}

function decisionInputs(options: LabelOptions) {
  const { constraints, cannotLinkWithin: column } = options;
  return {
    constraints,
    'cannot-link-within': column === undefined ? undefined : columnInput(column, itemsFileOf(options)),
  };
}

/** The results of a run, to be written. */
export interface Finding {
  readonly plan: LabelPlan;
  /** The kNN graph: a file, or in memory. */
  readonly knn: LabelOptions['knn'];
  readonly labels: Int32Array;
  readonly edges: LabelResult['edges'];
  readonly trust: LabelResult['trust'];
  readonly identities: LabelResult['identities'];
  readonly engine: EngineRecord;
  readonly run: () => RunDescription;
  readonly inputs: readonly FileDigest[];
  readonly notices: readonly string[];
  readonly curves: ScoreCurves | undefined;
  /** The text of report.html, where it is written. */
  readonly page: ((record: RunRecord, table: ClusterTable | undefined) => Promise<string>) | undefined;
  /** Asked for at the end, when all times are known. */
  readonly summary: () => LabelSummary;
}

/** Writes the files of a result together, and then run.json. `timed` is told what takes time. Throws NOT_WRITABLE. */
export async function writeRun(
  out: string,
  { plan, knn, labels, edges, trust, identities, engine, run, inputs, notices, curves, page, summary }: Finding,
  timed: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const { options, items, cluster, hops } = plan;
  const { features, model, backend = 'auto', provider, batch = plan.batch, optionSources, config } = options;
  const before = readRecord(out);
  const table = trust && clusterTable(trust.sizes, trust, identities?.ids);
  await writeTogether(
    out,
    async (folder) => {
      const written = await timed(async () => {
        await writeResults(folder, options, labels, edges);
        if (trust) {
          await writeNpy(join(folder, outputStem(options) + marginSuffix), 'f4', [labels.length], trust.margins);
          await writeClusterTable(join(folder, clusterTableName), table!);
        }
        if (options.constraints !== undefined) {
          const names = plan.decided!.nodes.names.map(({ row, name }) => ({ label: labels[row], name }));
          await writeNameTable(join(folder, nameTableName), names);
        }
        if (identities) await writeChanges(join(folder, changeTableName), identities.changes);
        if (items) {
          await writeLabelTable(join(folder, labelTableName), items, labels, table && trustByRow(labels, table));
        }
        return recordOutputs(folder, outputNames(options, items), before);
      });
      const record: RunRecord = {
        naan: version,
        node: process.version,
        options: {
          features: nameOf(features),
          knn: nameOf(knn),
          model: nameOf(model),
          items: items && (options.items ?? items.name),
          constraints: options.constraints,
          cannotLinkWithin: options.cannotLinkWithin,
          previous: options.previous,
          out,
          backend,
          provider,
          batch,
          saveEdges: options.saveEdges === true,
          duplicates: options.duplicates ?? 'collapse',
          badRows: options.badRows ?? 'refuse',
          minSize: options.minSize,
          minTrust: options.minTrust,
          trust: options.trust === true,
          report: options.report === true,
          ...cluster.options,
          partition: cluster.partition,
          k1: hops.k1,
          k2: hops.k2,
          sampleHops: hops.sampleHops,
        },
        ...(config && { config }),
        ...(optionSources && { optionSources }),
        run: run(),
        engine,
        plan: plan.memory,
        inputs,
        notices,
        ...(curves && { curves }),
        ...written,
        model: plan.model.config,
        ...summary(),
        highestIdentity: identities?.highest ?? labels.reduce((most, label) => Math.max(most, label), -1),
      };
      await writeJson(join(folder, recordName), record);
      if (page) await writeText(join(folder, reportName), await page(record, table));
    },
    recordName,
  );
}

/** The trust of the cluster of each row as clusters.csv has it, empty for a row without one. */
function trustByRow(labels: Int32Array, { trust }: ClusterTable): (row: number) => string {
  const { clusterOf } = clustersOf(labels);
  const texts = Array.from(trust, (x) => x.toFixed(6));
  return (row) => (clusterOf[row] < 0 ? '' : texts[clusterOf[row]]);
}

/** A run that was replaced could not be kept to any more. */
function previousInputs({ previous }: LabelOptions): Record<string, string | undefined> {
  if (previous === undefined) return {};
  const { labels, table } = filesOfRun(previous);
  return { 'previous run': labels, 'previous names': table };
}

/** Digests of the inputs that are files. */
export function describeInputs(options: LabelOptions, knn: LabelOptions['knn']): Promise<FileDigest[]> {
  const { features, model, items } = options;
  const paths = [
    features,
    knn,
    model,
    items,
    ...Object.values({ ...decisionInputs(options), ...previousInputs(options) }),
  ].filter((input) => typeof input === 'string');
  return Promise.all(paths.map((path) => digestFile(path)));
}

function nameOf(input: unknown): string {
  return typeof input === 'string' ? input : 'in memory';
}

async function writeResults(
  out: string,
  options: LabelOptions,
  labels: Int32Array,
  edges: LabelResult['edges'],
): Promise<void> {
  const [text, binary, pairs, scores, rounds] = outputNames(options).map((name) => join(out, name));
  await writeLabelText(text, labels);
  await writeNpy(binary, 'i8', [labels.length], labels);
  if (!edges) return;
  await writeNpy(pairs, 'i4', [edges.scores.length, 2], edges.pairs);
  await writeNpy(scores, 'f4', [edges.scores.length], edges.scores);
  if (!edges.rounds) return;
  await writeNpy(rounds, 'f4', [edges.rounds.length, edges.scores.length], async (append) => {
    for (const round of edges.rounds ?? []) await append(round);
  });
}

/** `split1` for split1_feats.npz; `features` for what has no name of its own, or several. */
function outputStem({ features }: LabelOptions): string {
  if (typeof features !== 'string' || isStandardInput(features) || features.includes('\n')) return 'features';
  return basename(parseInput(features).path)
    .replace(/\.[^.]+$/, '')
    .replace(/[_.-]*[*?]+[_.-]*/g, '') // of a pattern
    .replace(/[_-]feat(ure)?s$/, '');
}
