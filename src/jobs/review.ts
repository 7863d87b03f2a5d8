/** A review of a run: people judge clusters on a local page, and each decision is on the disk before the page hears of it. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { imageType, maxImageBytes } from '../datasets/images.js';
import { NaanError } from '../errors.js';
import { readFloat32Array } from '../io/arrays.js';
import { appendDecisions, type Item, keepDecisions } from '../io/decisions.js';
import { FolderLock } from '../io/folder-lock.js';
import { readWhole, unreadable } from '../io/input-file.js';
import { isObject } from '../io/json.js';
import { labelTableName } from '../io/label-table.js';
import { NamedRows } from '../io/named-rows.js';
import { writing } from '../io/output-file.js';
import { readRecord } from '../io/output-record.js';
import { imageFile, imageRoot } from '../report/images.js';
import { type Answer, serveLocally } from '../report/local-server.js';
import { type Action, type Judgement, Judgements, judgementOf, type Noted } from './judgements.js';
import { type LabelledRun, placesOfLabels, readLabelledRun, scoresOfRun } from './run-folder.js';

export interface ReviewOptions {
  /** Folder that `label` wrote to. */
  readonly run: string;
  /** Folder that items lie in, where they are paths of images. */
  readonly images?: string | undefined;
  /** Default: decisions.jsonl in the run's folder. */
  readonly decisions?: string | undefined;
  /** Default 0: any free one. */
  readonly port?: number | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface Review {
  /** The address of the page, with its token. */
  readonly url: string;
  readonly decisions: string;
  /** Decisions that count, those of earlier reviews of this file among them. */
  count(): number;
  close(): Promise<void>;
}

const pageNames = { 'page.css': 'text/css', 'review.css': 'text/css', 'review.js': 'text/javascript' } as const;
const pages = new URL('../../../pages/', import.meta.url);
const maxMerges = 5000;
const leastMerge = 0.02;
const longestName = 1000;

/**
 * Serves the page until it is closed. Throws BAD_INPUT for a folder without a run or decisions that cannot be read, BAD_USAGE
 * for a port that is taken or decisions that another review is about.
 */
export async function review(options: ReviewOptions): Promise<Review> {
  const { run: folder, images, decisions = join(folder, 'decisions.jsonl'), port = 0, onNotice } = options;
  const root = images === undefined ? undefined : await imageRoot(images);
  const run = await readLabelledRun(folder);
  const lock = await takeLock(`${decisions}.lock`, onNotice);
  try {
    const known = isNew(decisions) ? [] : await keepDecisions(decisions, judgementOf, onNotice);
    const session = new Session(run, root, decisions, known);
    const server = await serveLocally(port, (request) => session.answer(request));
    return {
      url: server.url,
      decisions,
      count: () => session.judgements.count,
      async close() {
        server.close();
        await session.close();
        await lock();
      },
    };
  } catch (error) {
    await lock();
    throw error;
  }
}

/** Throws BAD_INPUT for a file that may be there and cannot be looked at, before somebody decides anything. */
function isNew(decisions: string): boolean {
  try {
    return statSync(decisions, { throwIfNoEntry: false }) === undefined;
  } catch (error) {
    throw unreadable(decisions, error);
  }
}

/** One review at a time appends to a file of decisions; its windows share one. Gives what ends it. */
async function takeLock(folder: string, onNotice: ReviewOptions['onNotice']): Promise<() => Promise<void>> {
  await writing(folder, () => mkdirSync(folder, { recursive: true }));
  const lock = await FolderLock.take(folder, { onNotice, option: '--decisions' });
  return async () => {
    await lock.release();
    try {
      rmdirSync(folder);
    } catch {
      // The next review has it already.
    }
  };
}

class Session {
  readonly judgements: Judgements;
  /** Decisions of the file, those that were taken back among them. */
  private version: number;
  /** Names this labelling in decisions: clusters of another have other numbers. */
  private readonly of: string;
  private readonly starts: Uint32Array;
  private readonly rows: Uint32Array;
  private readonly placeOf: (label: number) => number | undefined;
  private readonly orders = new Map<string, Promise<Float64Array>>();
  private names: NamedRows | undefined;
  private margins: Promise<Float32Array | undefined> | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly run: LabelledRun,
    private readonly root: string | undefined,
    private readonly path: string,
    known: readonly Judgement[],
  ) {
    this.version = known.length;
    const labels = readRecord(run.folder).outputs.find(({ name }) => name.endsWith('_labels.npy'));
    this.of = labels!.sha256.slice(0, 16);
    const { sizes, clusterOf, ids } = run;
    this.placeOf = placesOfLabels(ids);
    this.starts = new Uint32Array(sizes.length + 1);
    for (let c = 0; c < sizes.length; c++) this.starts[c + 1] = this.starts[c] + sizes[c];
    const next = this.starts.slice();
    this.rows = new Uint32Array(this.starts[sizes.length]);
    for (let row = 0; row < clusterOf.length; row++) if (clusterOf[row] >= 0) this.rows[next[clusterOf[row]]++] = row;
    this.judgements = new Judgements(known, ({ of, clusters }) =>
      of === this.of && Array.isArray(clusters) ? clusters.map((cluster) => this.place(cluster)) : undefined,
    );
  }

  /** Closes the review once all requests are answered. */
  async close(): Promise<void> {
    await this.queue;
    this.names?.close();
  }

  async answer({
    method,
    path,
    query,
    body,
  }: Parameters<Parameters<typeof serveLocally>[1]>[0]): Promise<Answer | undefined> {
    if (method === 'POST') {
      if (path !== 'decide') return undefined;
      // One after the other, whatever window they come from.
      if (!isAsked(body)) throw new NaanError('BAD_INPUT', 'is no decision of the page');
      const done = this.queue.then(() => this.decide(body));
      this.queue = done.catch(() => {});
      return json(await done);
    }
    if (path === '') return { type: 'text/html; charset=utf-8', body: readFileSync(new URL('review.html', pages)) };
    if (Object.hasOwn(pageNames, path)) {
      return {
        type: `${pageNames[path as keyof typeof pageNames]}; charset=utf-8`,
        body: readFileSync(new URL(path, pages)),
      };
    }
    if (path === 'state') return json(this.state());
    if (path === 'list')
      return json(
        await this.list(query.get('of') ?? 'clusters', numberIn(query, 'from'), Math.min(50, numberIn(query, 'count'))),
      );
    if (path === 'rows')
      return json(
        await this.rowsOf(
          this.place(numberIn(query, 'cluster')),
          numberIn(query, 'from'),
          Math.min(500, numberIn(query, 'count')),
        ),
      );
    if (path.startsWith('image/')) return this.image(Number(path.slice(6)));
    return undefined;
  }

  private state() {
    const { actions, judged } = this.judgements;
    const recent = this.judgements
      .recent()
      .map(({ id, action, kind, clusters }) => ({ id, action: action ?? kind, clusters }));
    return {
      version: this.version,
      folder: this.run.folder,
      rows: this.run.clusterOf.length,
      clusters: this.run.ids.length,
      judged,
      hasImages: this.root !== undefined,
      hasTrust: this.run.table !== undefined,
      actions,
      recent,
    };
  }

  private async list(of: string, from: number, count: number) {
    let order = this.orders.get(of);
    if (!order) {
      order = this.order(of);
      this.orders.set(of, order);
    }
    const keys = await order;
    const width = of === 'merges' ? 3 : 1;
    const entries = [];
    for (let i = from; i < Math.min(keys.length / width, from + count); i++) {
      if (width === 1) entries.push(await this.cluster(keys[i], of === 'splits'));
      else {
        const [a, b, score] = keys.subarray(width * i, width * i + width);
        const sides = [await this.cluster(a, false), await this.cluster(b, false)];
        const { id, action } = this.judgements.ofPair(a, b) ?? {};
        entries.push({ sides, score, decision: id, action });
      }
    }
    return { version: this.version, total: keys.length / width, from, entries };
  }

  /** Clusters, the most urgent first; or pairs of them with their best score. */
  private async order(of: string): Promise<Float64Array> {
    const { trust, table, sizes } = this.run;
    if (of === 'merges') return this.merges();
    const key = of === 'splits' && table ? table.weakestJoin : trust;
    // Sorted by the key, cut to 22 bits; clusters without one follow, the largest first.
    const steps = 2 ** 22 - 2;
    const numbers = new Uint32Array(sizes.length);
    for (let c = 0; c < sizes.length; c++) {
      const share = Number.isNaN(key[c]) ? 1 : Math.min(1, Math.max(0, (key[c] + 1) / 2));
      numbers[c] = Math.round(share * steps) + (Number.isNaN(key[c]) && sizes[c] === 1 ? 2 ** 22 : 0);
    }
    const places = new Float64Array(placesByRising(numbers));
    return of === 'splits' ? places.filter((c) => sizes[c] > 1) : places;
  }

  private async merges(): Promise<Float64Array> {
    const scored = await scoresOfRun(this.run);
    if (!scored) return new Float64Array();
    const { pairs, scores } = scored;
    const { clusterOf } = this.run;
    const between: number[] = [];
    const bins = 1000;
    const counts = new Uint32Array(bins + 1);
    const isBetween = (e: number) => {
      const [a, b] = [clusterOf[pairs[2 * e]], clusterOf[pairs[2 * e + 1]]];
      return a !== b && a >= 0 && b >= 0 && scores[e] >= leastMerge;
    };
    for (let e = 0; e < scores.length; e++) if (isBetween(e)) counts[Math.floor(scores[e] * bins)]++;
    let bin = bins;
    for (let sum = counts[bin]; bin > 0 && sum < 40 * maxMerges; ) sum += counts[--bin];
    for (let e = 0; e < scores.length; e++) if (scores[e] * bins >= bin && isBetween(e)) between.push(e);
    between.sort((e, f) => scores[f] - scores[e] || e - f);
    const seen = new Set<string>();
    const found: number[] = [];
    for (const e of between) {
      const [a, b] = [clusterOf[pairs[2 * e]], clusterOf[pairs[2 * e + 1]]].sort((x, y) => x - y);
      if (seen.size === maxMerges) break;
      if (seen.has(`${a},${b}`)) continue;
      seen.add(`${a},${b}`);
      found.push(a, b, scores[e]);
    }
    return Float64Array.from(found);
  }

  private async cluster(c: number, loosestFirst: boolean) {
    const { ids, sizes, trust, table } = this.run;
    const verdict = this.judgements.of(c);
    return {
      cluster: ids[c],
      size: sizes[c],
      trust: Number.isNaN(trust[c]) ? undefined : trust[c],
      weakestJoin: table && !Number.isNaN(table.weakestJoin[c]) ? table.weakestJoin[c] : undefined,
      decision: verdict?.id,
      action: verdict?.action,
      name: verdict?.name,
      loosestFirst,
      ...(await this.rowsOf(c, 0, 12)),
    };
  }

  /** Rows of a cluster, the loosest first where that is known. */
  private async rowsOf(c: number, from: number, count: number) {
    const rows = this.rows.slice(this.starts[c], this.starts[c + 1]);
    this.margins ??= this.readMargins();
    const margins = await this.margins;
    if (margins) rows.sort((a, b) => margins[a] - margins[b] || a - b);
    const shown = [...rows.subarray(from, from + count)];
    return { rows: shown.map((row) => ({ row, name: String(this.itemOf(row)), margin: margins?.[row] })) };
  }

  private async readMargins(): Promise<Float32Array | undefined> {
    const file = readRecord(this.run.folder).outputs.find(({ name }) => name.endsWith('_margins.npy'));
    const path = file && join(this.run.folder, file.name);
    return path !== undefined && existsSync(path) ? (await readFloat32Array(path)).data : undefined;
  }

  private itemOf(row: number): Item {
    if (!this.run.items) return row;
    this.names ??= NamedRows.open(join(this.run.folder, labelTableName), this.run.clusterOf.length);
    return this.names.at(row);
  }

  private async image(row: number): Promise<Answer | undefined> {
    if (this.root === undefined || !Number.isInteger(row) || !(row >= 0 && row < this.run.clusterOf.length))
      return undefined;
    const path = await imageFile(this.root, String(this.itemOf(row)));
    if (path === undefined) return undefined;
    const body = await readWhole(path, maxImageBytes);
    const type = imageType(body);
    if (type === undefined) return undefined;
    return { type: `image/${type === 'jpg' ? 'jpeg' : type}`, body };
  }

  /** The place of a cluster by its label. Throws BAD_INPUT where there is none. */
  private place(cluster: number): number {
    const place = this.placeOf(cluster);
    if (place === undefined) throw new NaanError('BAD_INPUT', `there is no cluster ${cluster}`);
    return place;
  }

  private async decide({ action, cluster, other, rows = [], name, undoes }: Asked) {
    const decision = { id: randomUUID(), time: new Date().toISOString() };
    if (action === 'undo') {
      if (!this.judgements.has(String(undoes))) throw new NaanError('BAD_INPUT', 'it is undone already');
      return this.append({ ...decision, kind: 'undo', undoes: String(undoes) });
    }
    const a = this.place(Number(cluster));
    const itemsOf = (c: number) =>
      Array.from(this.rows.subarray(this.starts[c], this.starts[c + 1]), (row) => this.itemOf(row));
    const noted = { ...decision, action, of: this.of };
    if (action === 'merge' || action === 'apart') {
      const b = this.place(Number(other));
      this.checkPair(action, a, b);
      const clusters = [this.run.ids[a], this.run.ids[b]];
      if (action === 'apart')
        return this.append({ ...noted, clusters, kind: 'different', items: itemsOf(a), from: itemsOf(b) });
      return this.append({ ...noted, clusters, kind: 'same', items: [itemsOf(a)[0], itemsOf(b)[0]] });
    }
    const before = this.judgements.of(a);
    if (before && !(action === 'name' && before.action === 'accept')) {
      throw new NaanError('BAD_INPUT', `cluster ${cluster} is judged already (${before.action}): undo that first`);
    }
    const clusters = [this.run.ids[a]];
    const items = itemsOf(a);
    if (action === 'accept') return this.append({ ...noted, clusters, kind: 'same', items });
    if (action === 'name') {
      if (name === undefined || name.trim() === '') throw new NaanError('BAD_INPUT', 'a name is empty');
      if (name.length > longestName) throw new NaanError('BAD_INPUT', `a name has more than ${longestName} characters`);
      return this.append({ ...noted, clusters, kind: 'name', items, name: name.trim() });
    }
    this.checkWhole(a);
    if (action === 'reject') {
      if (items.length < 2) throw new NaanError('BAD_INPUT', 'a cluster of one row has nothing to part');
      return this.append({ ...noted, clusters, kind: 'different', items });
    }
    if (action === 'split') {
      const members = new Set(this.rows.subarray(this.starts[a], this.starts[a + 1]));
      const parted = new Set(rows);
      if (parted.size === 0 || parted.size >= members.size || rows.some((row) => !members.has(row))) {
        throw new NaanError('BAD_INPUT', 'mark some rows of the cluster, and not all of them');
      }
      const from = [...members].filter((row) => !parted.has(row)).map((row) => this.itemOf(row));
      return this.append({
        ...noted,
        clusters,
        kind: 'different',
        items: [...parted].map((row) => this.itemOf(row)),
        from,
      });
    }
    throw new NaanError('BAD_INPUT', `action: got ${String(action)}`);
  }

  /** Throws for what would contradict pairs that were judged, over any chain of merges. */
  private checkPair(action: 'merge' | 'apart', a: number, b: number): void {
    if (a === b) throw new NaanError('BAD_INPUT', 'it is one cluster');
    const { judgements } = this;
    if (judgements.ofPair(a, b)) throw new NaanError('BAD_INPUT', 'the pair is judged already: undo that first');
    const [groupA, groupB] = [judgements.group(a), judgements.group(b)];
    if (action === 'apart') {
      if (groupA.has(b)) throw new NaanError('BAD_INPUT', 'they are one by merges: undo one of these first');
      return;
    }
    for (const x of groupA) {
      for (const y of judgements.others(x, 'apart')) {
        if (!groupB.has(y)) continue;
        throw new NaanError('BAD_INPUT', 'they are different by an earlier decision: undo that first');
      }
    }
    const [nameA, nameB] = [groupA, groupB].map(
      (group) => [...group].map((c) => judgements.of(c)?.name).filter((name) => name !== undefined)[0],
    );
    if (nameA !== undefined && nameB !== undefined && nameA !== nameB) {
      throw new NaanError('BAD_INPUT', `they are named ${nameA} and ${nameB}: undo one of the names first`);
    }
    for (const c of [a, b]) {
      const judged = judgements.of(c)?.action;
      if (judged === 'reject' || judged === 'split') {
        throw new NaanError('BAD_INPUT', `cluster ${this.run.ids[c]} is not one identity (${judged}): undo that first`);
      }
    }
  }

  private checkWhole(c: number): void {
    if (this.judgements.group(c).size === 1) return;
    throw new NaanError('BAD_INPUT', `cluster ${this.run.ids[c]} is merged with another: undo that first`);
  }

  private async append(decision: Noted) {
    await appendDecisions(this.path, [decision]);
    this.version++;
    if (decision.kind === 'undo') this.judgements.remove(decision.undoes);
    else this.judgements.add(judgementOf({ ...decision, line: this.version }));
    return { ...this.state(), decided: decision.kind === 'undo' ? undefined : decision.id };
  }
}

interface Asked {
  readonly action: Action | 'undo';
  readonly cluster?: number;
  readonly other?: number;
  readonly rows?: readonly number[];
  readonly name?: string;
  readonly undoes?: string;
}

function isAsked(body: unknown): body is Asked {
  if (!isObject(body)) return false;
  const { name, rows = [] } = body;
  return (name === undefined || typeof name === 'string') && Array.isArray(rows);
}

/** Places of keys below 2^24 by rising key, of equal ones the first first: by their lower 12 bits, then by the upper ones. */
function placesByRising(keys: Uint32Array): Uint32Array {
  let places = new Uint32Array(keys.length);
  for (let i = 0; i < places.length; i++) places[i] = i;
  for (const shift of [0, 12]) {
    const starts = new Uint32Array(2 ** 12 + 1);
    for (let i = 0; i < keys.length; i++) starts[((keys[i] >>> shift) & 0xfff) + 1]++;
    for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
    const sorted = new Uint32Array(keys.length);
    for (let i = 0; i < keys.length; i++) sorted[starts[(keys[places[i]] >>> shift) & 0xfff]++] = places[i];
    places = sorted;
  }
  return places;
}

function json(value: unknown): Answer {
  return { type: 'application/json; charset=utf-8', body: JSON.stringify(value) };
}

function numberIn(query: URLSearchParams, name: string): number {
  const value = Number(query.get(name) ?? 0);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new NaanError('BAD_INPUT', `${name}: got ${query.get(name)}, expected a number`);
}
