/** Decisions about the rows of a set, as constraints on them: names become numbers, and contradictions are reported. */
import { type Constraints, constraintsFrom } from '../cluster/constraints.js';
import { DisjointSet } from '../cluster/disjoint-set.js';
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import type { NodeMap } from '../graph/node-map.js';
import { type DecisionAt, type Item, inForce, readDecisions, type Statement } from '../io/decisions.js';
import { parseInput } from '../io/input-file.js';
import type { Items } from '../io/item-list.js';
import { type Labels, nameOf } from '../io/label-codes.js';
import { readLabels } from '../io/labels.js';
import { quoted } from '../io/messages.js';

export interface ConstraintOptions {
  /** decisions.jsonl: which rows are one identity, and which are not. */
  readonly constraints?: string | undefined;
  /** A column beside the names of the rows, or FILE:COLUMN: rows of one value are different identities; −1 is no value. */
  readonly cannotLinkWithin?: string | undefined;
}

/** Places: numbers of rows, and behind them those of items that are no rows of the set, through which decisions hold all the same. */
interface Placed {
  readonly decision: DecisionAt<Statement>;
  readonly items: Int32Array;
  /** The decision that each entry of `different` comes from, where `different` is given. */
  readonly from?: Int32Array;
}

export interface DecidedRows {
  readonly path: string;
  readonly rowCount: number;
  readonly placeCount: number;
  readonly placed: readonly Placed[];
  /** How decisions name the places. */
  readonly nameOf: (place: number) => string;
  readonly within: { readonly column: string; readonly labels: Labels } | undefined;
}

/** Constraints on nodes, and the identities that have a name, each by one of its rows. */
export interface DecidedNodes {
  readonly constraints: Constraints;
  readonly names: readonly { readonly row: number; readonly name: string }[];
}

interface Rows {
  readonly rowCount: number;
  readonly items: Items | undefined;
  /** The file that has the names of the rows, where there is one. */
  readonly itemsFile: string | undefined;
}

/** As many as a Map of V8 holds. */
const mostItems = 2 ** 24 - 1;

/** Undefined where nothing was decided. Throws BAD_INPUT or BAD_SHAPE for what does not fit the rows. */
export async function readDecidedRows(
  { constraints, cannotLinkWithin }: ConstraintOptions,
  { rowCount, items, itemsFile }: Rows,
  onNotice?: (message: string) => void,
): Promise<DecidedRows | undefined> {
  if (constraints === undefined && cannotLinkWithin === undefined) return undefined;
  const decisions = constraints === undefined ? [] : inForce(await readDecisions(constraints, onNotice));
  const path = constraints ?? '';
  const places = await placesOf(path, decisions, { rowCount, items, itemsFile }, onNotice);
  const placesIn = (list: readonly Item[]) => Int32Array.from(list, places.placeOf);
  const placed = decisions.map((decision): Placed => {
    const from = decision.kind === 'different' ? decision.from : undefined;
    return { decision, items: placesIn(decision.items), ...(from && { from: placesIn(from) }) };
  });
  const within =
    cannotLinkWithin === undefined
      ? undefined
      : { column: cannotLinkWithin, labels: await readColumn(cannotLinkWithin, itemsFile, rowCount) };
  return { path, rowCount, placeCount: places.count, placed, nameOf: places.nameOf, within };
}

/** The file in which names of the rows are looked for. */
export function itemsFileOf({ items, features }: { readonly items?: string | undefined; readonly features: unknown }) {
  return items ?? (typeof features === 'string' ? features : undefined);
}

/** The file that `cannotLinkWithin` reads, for who checks inputs. */
export function columnInput(column: string, itemsFile: string | undefined): string {
  const isFile = parseInput(column).member !== undefined || itemsFile === undefined;
  return isFile ? column : `${parseInput(itemsFile).path}:${column}`;
}

async function readColumn(column: string, itemsFile: string | undefined, rowCount: number): Promise<Labels> {
  const labels = await readLabels(columnInput(column, itemsFile));
  if (labels.codes.length !== rowCount) {
    throw new NaanError(
      'BAD_SHAPE',
      `${columnInput(column, itemsFile)}: ${labels.codes.length} values, expected one for each of ${rowCount} rows`,
    );
  }
  return labels;
}

async function placesOf(
  path: string,
  decisions: readonly DecisionAt<Statement>[],
  { rowCount, items }: Rows,
  onNotice: ((message: string) => void) | undefined,
) {
  const names = new Map<string, number>();
  const lines: number[] = [];
  const add = (item: Item, line: number): void => {
    if (typeof item === 'number') {
      if (item < rowCount) return;
      const expected = rowCount === 0 ? 'but there are no rows' : `expected 0 to ${rowCount - 1}`;
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: names row ${item}, ${expected}`);
    }
    if (names.has(item)) return;
    if (items === undefined) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${line}: names ${quoted(item)}, but the rows have no names: give them with --items`,
      );
    }
    if (names.size === mostItems) {
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: is about more than ${mostItems} different items`);
    }
    names.set(item, rowCount + names.size);
    lines.push(line);
  };
  for (const decision of decisions) {
    for (const item of decision.items) add(item, decision.line);
    if (decision.kind === 'different') for (const item of decision.from ?? []) add(item, decision.line);
  }
  let found = 0;
  let total = 0;
  if (names.size > 0) {
    await items!.each((some, first) => {
      total += some.length;
      for (let i = 0; i < some.length; i++) {
        const place = names.get(some[i]);
        if (place === undefined || first + i >= rowCount) continue;
        if (place < rowCount) {
          const line = lines[[...names.keys()].indexOf(some[i])];
          const rows = `rows ${place} and ${first + i} have the same name ${quoted(some[i])}`;
          throw new NaanError(
            'BAD_INPUT',
            `${items!.name}: ${rows}, which ${path} decides of in line ${line}: give rows there`,
          );
        }
        names.set(some[i], first + i);
        found++;
      }
    });
    if (total !== rowCount) {
      throw new NaanError('BAD_SHAPE', `${items!.name}: ${total} items, expected one for each of ${rowCount} rows`);
    }
    const absent = names.size - found;
    if (absent > 0) onNotice?.(`${path}: ${absent} of ${names.size} items that were decided of are not in this set`);
  }
  const placeOf = (item: Item): number => (typeof item === 'number' ? item : names.get(item)!);
  const describe = (wanted: number): string => {
    for (const [name, place] of names) if (place === wanted) return quoted(name);
    return `row ${wanted}`;
  };
  return { count: rowCount + names.size, placeOf, nameOf: describe };
}

/**
 * Constraints on the nodes of a map, or on all rows. Throws CONTRADICTION where what is one identity by one decision, or a chain
 * of them, is two by another.
 */
export function constraintsOf(decided: DecidedRows, map?: NodeMap): DecidedNodes {
  const { rowCount, placeCount, placed, within } = decided;
  const groups = new DisjointSet(placeCount);
  const identities = new Map<string, number>();
  for (const { decision, items } of placed) {
    if (decision.kind === 'different') continue;
    for (const place of items) groups.unite(items[0], place);
    if (decision.kind !== 'name') continue;
    const known = identities.get(decision.name);
    if (known === undefined) identities.set(decision.name, items[0]);
    else groups.unite(known, items[0]);
  }
  const nodeOf = (row: number) => (map ? map.nodeOf[row] : row);
  if (map) for (let row = 0; row < rowCount; row++) if (nodeOf(row) >= 0) groups.unite(row, map.rows[nodeOf(row)]);

  const tags = new Tags(within ? rowCount : 0);
  const explicit: Placed[] = [];
  for (const one of placed) {
    if (one.decision.kind !== 'different') continue;
    const set = explicit.push(one) - 1;
    if (one.from) {
      for (const place of one.items) tags.add(place, set, 0);
      for (const place of one.from) tags.add(place, set, 1);
    } else one.items.forEach((place, part) => void tags.add(place, set, part));
  }
  const setOfNames = explicit.length;
  if (identities.size > 1) [...identities.values()].forEach((place, part) => void tags.add(place, setOfNames, part));
  const firstWithin = setOfNames + 1;
  if (within) {
    const values = within.labels.codes.slice();
    const counts = new Int32Array(relabel(values));
    for (const value of values) if (value >= 0) counts[value]++;
    values.forEach((value, row) => {
      if (value >= 0 && counts[value] > 1 && nodeOf(row) >= 0) tags.add(row, firstWithin + value, nodeOf(row));
    });
  }
  checkWhole(decided, groups, tags, { explicit, setOfNames, firstWithin, identities: [...identities], map });

  // A tag of an item that is no node holds for the nodes that are one identity with it.
  const nodeCount = map ? map.rows.length : rowCount;
  const firstRow = new Int32Array(placeCount).fill(-1);
  const firstNode = new Int32Array(placeCount).fill(-1);
  for (let row = rowCount - 1; row >= 0; row--) {
    const root = groups.find(row);
    firstRow[root] = row;
    if (nodeOf(row) >= 0) firstNode[root] = nodeOf(row);
  }
  const isDecided = new Uint8Array(placeCount);
  for (const { decision, items } of placed) {
    if (decision.kind === 'name' || (decision.kind === 'same' && items.length > 1))
      isDecided[groups.find(items[0])] = 1;
  }
  const kept = tags.onNodes((place) => firstNode[groups.find(place)]);
  const groupOf = (node: number) => firstNode[groups.find(map ? map.rows[node] : node)];
  return {
    constraints: constraintsFrom(nodeCount, {
      groupOf,
      isDecided: (node) => isDecided[groups.find(map ? map.rows[node] : node)] === 1,
      ...kept,
    }),
    names: [...identities].flatMap(([name, place]) => {
      const row = firstRow[groups.find(place)];
      return row < 0 ? [] : [{ row, name }];
    }),
  };
}

/** Rows that are one identity with rows that have a label have it too, where they are no nodes. `firsts` by row. In place. */
export function labelGroups(labels: Int32Array, { firsts, lasts }: Constraints): void {
  const known = new Map<number, number>();
  const grouped = (row: number) => firsts[row] !== lasts[row];
  for (let row = 0; row < labels.length; row++)
    if (grouped(row) && labels[row] >= 0) known.set(firsts[row], labels[row]);
  for (let row = 0; row < labels.length; row++) {
    if (grouped(row) && labels[row] < 0) labels[row] = known.get(firsts[row]) ?? -1;
  }
}

/** Parts of sets that places hold. */
class Tags {
  places: Int32Array;
  sets: Int32Array;
  parts: Int32Array;
  count = 0;

  constructor(expected: number) {
    const size = Math.max(16, expected);
    this.places = new Int32Array(size);
    this.sets = new Int32Array(size);
    this.parts = new Int32Array(size);
  }

  add(place: number, set: number, part: number): void {
    if (this.count === this.places.length) {
      this.places = longer(this.places);
      this.sets = longer(this.sets);
      this.parts = longer(this.parts);
    }
    this.places[this.count] = place;
    this.sets[this.count] = set;
    this.parts[this.count++] = part;
  }

  /** The entries whose places are nodes, with node numbers in place of places. */
  onNodes(nodeOf: (place: number) => number) {
    const tagged = new Int32Array(this.count);
    const sets = new Int32Array(this.count);
    const parts = new Int32Array(this.count);
    let filled = 0;
    for (let t = 0; t < this.count; t++) {
      const node = nodeOf(this.places[t]);
      if (node < 0) continue;
      tagged[filled] = node;
      sets[filled] = this.sets[t];
      parts[filled++] = this.parts[t];
    }
    return { tagged: tagged.subarray(0, filled), sets: sets.subarray(0, filled), parts: parts.subarray(0, filled) };
  }
}

function longer(values: Int32Array): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(2 * values.length);
  twice.set(values);
  return twice;
}

interface Context {
  readonly explicit: readonly Placed[];
  readonly setOfNames: number;
  readonly firstWithin: number;
  readonly identities: readonly (readonly [name: string, place: number])[];
  readonly map: NodeMap | undefined;
}

/** Places of one group that hold two parts of a set. */
interface Clash {
  readonly set: number;
  readonly a: number;
  readonly b: number;
  readonly parts: readonly number[];
}

/** Throws CONTRADICTION, with the chain, for the first group that holds two parts of a set; says how many there are. */
function checkWhole(decided: DecidedRows, groups: DisjointSet, tags: Tags, context: Context): void {
  const seen = new Map<number, Map<number, number>>();
  let first: Clash | undefined;
  let count = 0;
  for (let t = 0; t < tags.count; t++) {
    const place = tags.places[t];
    // A row has only one value of a column, so a group of one row cannot contradict itself.
    if (tags.sets[t] >= context.firstWithin && groups.sizeOf(place) === 1) continue;
    const root = groups.find(place);
    let ofGroup = seen.get(root);
    if (!ofGroup) {
      ofGroup = new Map();
      seen.set(root, ofGroup);
    }
    const set = tags.sets[t];
    const before = ofGroup.get(set);
    if (before === undefined) ofGroup.set(set, t);
    else if (tags.parts[before] !== tags.parts[t]) {
      count++;
      first ??= { set, a: tags.places[before], b: place, parts: [tags.parts[before], tags.parts[t]] };
    }
  }
  if (!first) return;
  const more = count > 1 ? ` (the first of ${count} contradictions)` : '';
  throw new NaanError('CONTRADICTION', `${contradiction(decided, first, context)}${more}`);
}

function contradiction(
  decided: DecidedRows,
  { set, a, b, parts }: Clash,
  { explicit, setOfNames, identities, map }: Context,
): string {
  const { path, nameOf: name, within } = decided;
  const [x, y] = [name(a), name(b)];
  const steps = chain(decided, a, b, map);
  // A name is found by a look through all names, so only steps that are told are named.
  const tell = (some: readonly Step[]) => some.map((step) => `${name(step.from)} = ${name(step.to)} (${step.why})`);
  const told =
    steps.length > 20
      ? [...tell(steps.slice(0, 10)), `${steps.length - 20} more`, ...tell(steps.slice(-10))]
      : tell(steps);
  const by = told.join(', ');
  const copies = map ? ', or --duplicates keep where rows that are equal to the bit are different' : '';
  const advice = `take one of these decisions back by an undo${copies}`;
  if (set < setOfNames) {
    const { line } = explicit[set].decision;
    if (a === b) return `${path}: line ${line}: says that ${x} is not the identity of itself: take it back by an undo`;
    return `${path}: line ${line}: says that ${x} and ${y} are different identities, but they are one: ${by}: ${advice}`;
  }
  if (set === setOfNames) {
    const [one, other] = parts.map((identity) => quoted(identities[identity][0]));
    if (a === b) return `${path}: ${x} is named ${one} and ${other}, expected one name: ${advice}`;
    return `${path}: ${x} is named ${one} and ${y} is named ${other}, but they are one identity: ${by}: ${advice}`;
  }
  const { column, labels } = within!;
  const value = quoted(nameOf(labels, labels.codes[a]));
  return (
    `${path || column}: ${x} and ${y} have the same ${column} ${value}, which makes them different identities, but they are ` +
    `one: ${by}: ${advice}, or put -1 for the ${column} of one of them`
  );
}

/** Two places, and what makes them one identity. */
interface Step {
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

/** The shortest way from one place to another along what makes them one identity. */
function chain({ placed }: DecidedRows, from: number, to: number, map: NodeMap | undefined): Step[] {
  const links: { readonly places: readonly number[]; readonly why: string }[] = [];
  const named = new Map<string, { places: number[]; lines: number[] }>();
  for (const { decision, items } of placed) {
    if (decision.kind === 'same') links.push({ places: [...items], why: `line ${decision.line}` });
    if (decision.kind !== 'name') continue;
    const known = named.get(decision.name) ?? { places: [], lines: [] };
    for (const item of items) known.places.push(item);
    known.lines.push(decision.line);
    named.set(decision.name, known);
  }
  for (const [one, { places, lines }] of named) {
    links.push({
      places,
      why: `both ${quoted(one)}, line${lines.length > 1 ? 's' : ''} ${lines.slice(0, 5).join(', ')}`,
    });
  }
  if (map) {
    const copies = new Map<number, number[]>();
    map.nodeOf.forEach((node, row) => {
      if (node < 0 || map.rows[node] === row) return;
      const known = copies.get(node);
      if (known) known.push(row);
      else copies.set(node, [map.rows[node], row]);
    });
    for (const places of copies.values()) links.push({ places, why: 'equal to the bit' });
  }
  const linksOf = new Map<number, number[]>();
  links.forEach(({ places }, link) => {
    for (const place of places) {
      const known = linksOf.get(place);
      if (known) known.push(link);
      else linksOf.set(place, [link]);
    }
  });
  const before = new Map<number, { place: number; why: string }>([[from, { place: from, why: '' }]]);
  const used = new Set<number>();
  const queue = [from];
  for (let at = 0; at < queue.length && !before.has(to); at++) {
    for (const link of linksOf.get(queue[at]) ?? []) {
      if (used.has(link)) continue;
      used.add(link);
      for (const place of links[link].places) {
        if (before.has(place)) continue;
        before.set(place, { place: queue[at], why: links[link].why });
        queue.push(place);
      }
    }
  }
  const steps: Step[] = [];
  for (let place = to; place !== from; ) {
    const { place: earlier, why } = before.get(place)!;
    steps.push({ from: earlier, to: place, why });
    place = earlier;
  }
  return steps.reverse();
}
