/** What a review has decided so far: each decision, each undo and each question takes time by what it is about, however many there were before. */
import { counted, type Decision } from '../io/decisions.js';

/** The action on the page that made a decision, kept beside the decision so that a review goes on where it stopped. */
export type Action = 'accept' | 'reject' | 'split' | 'name' | 'merge' | 'apart';
export type Noted = Decision & {
  readonly action?: Action;
  readonly clusters?: readonly number[];
  readonly of?: string;
};

/** What a review keeps of a decision: its items are in the file. */
export interface Judgement {
  readonly id: string;
  readonly kind: Decision['kind'];
  readonly line: number;
  readonly action?: Action | undefined;
  /** Labels of the one or two clusters that it was made of. */
  readonly clusters?: readonly number[] | undefined;
  /** The labelling that has these clusters. */
  readonly of?: string | undefined;
  readonly name?: string | undefined;
  readonly undoes?: string | undefined;
}

export function judgementOf(decision: Noted & { readonly line: number }): Judgement {
  const { id, kind, line, action, clusters, of } = decision;
  // All of one shape, which takes less time and memory.
  const name = decision.kind === 'name' ? decision.name : undefined;
  const undoes = decision.kind === 'undo' ? decision.undoes : undefined;
  return { id, kind, line, action, clusters, of, name, undoes };
}

const recentOnes = 20;

/** Decisions in force. Clusters are given by their places among those of the labelling that is reviewed. */
export class Judgements {
  /** Those of each action. */
  readonly actions: Partial<Record<Action, number>> = {};
  private readonly inForce = new Map<string, Judgement>();
  /** Ids in the order of the file, among them some that were undone. */
  private readonly order: string[] = [];
  private readonly ofClusters = new Map<number, Judgement[]>();
  /** Those of a pair of clusters, under each of the two and then the other. */
  private readonly ofPairs = new Map<number, Map<number, Judgement[]>>();

  /** `placesOf`: the clusters that a decision is about; undefined for one of another labelling. */
  constructor(
    known: readonly Judgement[],
    private readonly placesOf: (one: Judgement) => readonly number[] | undefined,
  ) {
    for (const one of counted(known)) this.add(one);
  }

  get count(): number {
    return this.inForce.size;
  }

  /** Clusters that were judged. */
  get judged(): number {
    return this.ofClusters.size;
  }

  /** The last ones, the latest last. */
  recent(): Judgement[] {
    const found: Judgement[] = [];
    for (let i = this.order.length - 1; i >= 0 && found.length < recentOnes; i--) {
      const one = this.inForce.get(this.order[i]);
      if (one) found.push(one);
    }
    return found.reverse();
  }

  has(id: string): boolean {
    return this.inForce.has(id);
  }

  add(one: Judgement): void {
    this.inForce.set(one.id, one);
    this.order.push(one.id);
    if (one.action) this.actions[one.action] = (this.actions[one.action] ?? 0) + 1;
    this.changeLists(one, (list) => void list.push(one));
  }

  /** Takes one back that is in force. */
  remove(id: string): void {
    const one = this.inForce.get(id)!;
    this.inForce.delete(id);
    while (this.order.length > 0 && !this.inForce.has(this.order[this.order.length - 1])) this.order.pop();
    if (one.action) this.actions[one.action] = this.actions[one.action]! - 1;
    this.changeLists(one, (list) => void list.splice(list.indexOf(one), 1));
  }

  /** The verdict on a cluster: of several the last. */
  of(cluster: number): Judgement | undefined {
    return this.ofClusters.get(cluster)?.at(-1);
  }

  ofPair(a: number, b: number): Judgement | undefined {
    return this.ofPairs.get(a)?.get(b)?.at(-1);
  }

  /** Clusters that are one with this one by merges, itself among them. */
  group(cluster: number): ReadonlySet<number> {
    const group = new Set([cluster]);
    // A Set is walked to its end, also where it grows meanwhile.
    for (const member of group) for (const other of this.others(member, 'merge')) group.add(other);
    return group;
  }

  /** Clusters that are decided to be one with this one, or different, in pairs. */
  *others(cluster: number, action: 'merge' | 'apart'): Iterable<number> {
    for (const [other, list] of this.ofPairs.get(cluster) ?? []) if (list.at(-1)!.action === action) yield other;
  }

  /** Changes the lists that a decision stands in; none stays empty. */
  private changeLists(one: Judgement, change: (list: Judgement[]) => void): void {
    const places = this.placesOf(one);
    if (!places) return;
    if (places.length !== 2) {
      changeIn(this.ofClusters, places[0], change);
      return;
    }
    const [a, b] = places;
    this.changePair(a, b, change);
    this.changePair(b, a, change);
  }

  private changePair(from: number, to: number, change: (list: Judgement[]) => void): void {
    const lists = this.ofPairs.get(from) ?? new Map<number, Judgement[]>();
    changeIn(lists, to, change);
    if (lists.size === 0) this.ofPairs.delete(from);
    else this.ofPairs.set(from, lists);
  }
}

function changeIn(lists: Map<number, Judgement[]>, key: number, change: (list: Judgement[]) => void): void {
  const known = lists.get(key);
  const list = known ?? [];
  change(list);
  if (list.length === 0) lists.delete(key);
  else if (!known) lists.set(key, list);
}
