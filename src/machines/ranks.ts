/**
 * A run on several machines that know each other by number, as a Slurm array or an indexed job of Kubernetes starts them.
 * Rank r of n computes the r-th part of the shards of every stage, keeps what they leave in a folder of its own in the shared
 * one, `rank-<r>`, with a journal as any run has, and then lists it in a manifest. It reads what the others have listed and
 * goes on to the next stage. Nobody coordinates: a rank that died is started again, by the same command, and goes on. Rank 0
 * makes the labels, or the kNN graph.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Stage } from '../engine/head.js';
import type { Shard } from '../engine/job.js';
import type { LeftByShard, Spread, SpreadStage } from '../engine/spread.js';
import { NaanError } from '../errors.js';
import { unreadable } from '../io/input-file.js';
import type { RangeCheck } from '../memory/file-writes.js';
import { isManifest, isSegment } from '../memory/segments.js';
import { mayPass } from '../system-error.js';
import { checkAgrees, listsShards, type Manifest, readManifest, writeManifest } from './manifest.js';

export interface RanksRequest {
  /** The folder that all ranks see. */
  readonly folder: string;
  readonly rank: number;
  readonly ranks: number;
  readonly identity: Manifest['identity'];
  /** Files beside segments that each rank keeps in its folder for itself. */
  readonly files?: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

/** A stage of which each rank computes its part. */
export interface RankStage extends Omit<SpreadStage, 'stage'> {
  readonly stage: Pick<Stage, 'name' | 'round'>;
  /** Values found on the way that all ranks must have in common as well. */
  readonly found?: Manifest['identity'];
}

/** Pauses between two looks for a list grow from the one to the other: stages of a small set end within milliseconds. */
const shortestLookMs = 5;
const lookMs = 100;
const noticeMs = 60_000;

/** The folder of a rank. */
export function folderOfRank(folder: string, rank: number): string {
  return join(folder, `rank-${rank}`);
}

export class Ranks implements Spread {
  constructor(private readonly request: RanksRequest) {}

  async run(stage: RankStage): Promise<LeftByShard | undefined> {
    const { rank, ranks } = this.request;
    const { shards, done, last } = stage;
    const own = this.shardsOf(rank, shards);
    const left = new Map(own.flatMap(({ index }) => (done.has(index) ? [[index, done.get(index)!]] : [])));
    const missing = own.filter(({ index }) => !left.has(index));
    await stage.compute(missing, (shard, segments) => {
      stage.record(shard, segments);
      left.set(shard, segments);
    });
    await stage.flush();
    await this.publish(stage, left);
    // The last stage is for the result, which rank 0 makes.
    if (last && rank > 0) return undefined;
    for (let other = 0; other < ranks; other++) {
      if (other === rank) continue;
      for (const [shard, segments] of await this.leftBy(other, stage)) {
        const there = (check: RangeCheck) => ({ ...check, file: `../rank-${other}/${check.file}` });
        left.set(shard, segments.map(there));
        stage.elsewhere(shard);
      }
    }
    return left;
  }

  /** Removes what all ranks have left, once the result is written. */
  clear(): void {
    const { folder, ranks, files = [] } = this.request;
    const isOurs = (name: string) => isSegment(name) || isManifest(name) || name === 'journal' || files.includes(name);
    for (let rank = 1; rank < ranks; rank++) {
      const path = folderOfRank(folder, rank);
      for (const name of namesIn(path)) {
        if (isOurs(name)) rmSync(join(path, name), { force: true });
      }
    }
  }

  /** Lists what this rank has left, unless an earlier process of it has listed the same. */
  private async publish({ stage: { name, round }, found }: RankStage, left: LeftByShard): Promise<void> {
    const { folder, rank } = this.request;
    const identity = { ...this.request.identity, ...found };
    const path = folderOfRank(folder, rank);
    const { number, manifest } = await newestOf(path, name, round);
    const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
    if (manifest && same([...manifest.left], [...left]) && same(manifest.identity, identity)) return;
    await writeManifest(path, number + 1, { identity, stage: name, round, left });
  }

  private shardsOf(rank: number, shards: readonly Shard[]): Shard[] {
    return shards.filter(({ index }) => Math.floor((index * this.request.ranks) / shards.length) === rank);
  }

  /** The ranges that another rank has listed; waits for its list. Throws BAD_INPUT for a list that is not of its shards of the stage. */
  private async leftBy(other: number, { stage, shards, found }: RankStage): Promise<LeftByShard> {
    const { name, round } = stage;
    const { folder, signal, onNotice } = this.request;
    const identity = { ...this.request.identity, ...found };
    const path = folderOfRank(folder, other);
    const began = performance.now();
    let told = 0;
    for (let pause = shortestLookMs; ; pause = Math.min(2 * pause, lookMs)) {
      const { manifest } = await newestOf(path, name, round);
      if (manifest) {
        checkAgrees(`rank ${other}`, identity, manifest);
        const wanted = this.shardsOf(other, shards).map(({ index }) => index);
        if (listsShards(manifest.left, stage, wanted)) return manifest.left;
        throw new NaanError(
          'BAD_INPUT',
          `${path}: lists other segments of stage '${name}' than rank ${other} makes: remove the --work-dir to start anew`,
        );
      }
      const waited = performance.now() - began;
      if (waited >= told + noticeMs) {
        told = waited;
        onNotice?.(`waits for rank ${other} to end stage '${name}' since ${Math.round(waited / 1000)} s`);
      }
      await wait(pause, undefined, { signal });
    }
  }
}

/** The last whole manifest of a stage in a folder, and the number of the last. */
async function newestOf(path: string, stage: string, round: number): Promise<{ number: number; manifest?: Manifest }> {
  const numberOf = (name: string) => Number(name.split('.')[1]);
  const names = namesIn(path)
    .filter((name) => isManifest(name) && name.startsWith(`${stage}-${round}.`))
    .sort((a, b) => numberOf(b) - numberOf(a));
  for (const name of names) {
    const manifest = await readManifest(join(path, name));
    if (manifest) return { number: numberOf(names[0]), manifest };
  }
  return { number: names.length > 0 ? numberOf(names[0]) : 0 };
}

/** The names in a folder; none where it is not there yet, or away. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (mayPass(error)) return [];
    throw unreadable(path, error);
  }
}
