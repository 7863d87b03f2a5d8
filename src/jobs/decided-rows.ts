/** Decisions about the rows of a set, as constraints on them: names become numbers, and contradictions are reported. */
import { type Constraints, constraintsFrom } from '../cluster/constraints.js';
import { DisjointSet } from '../cluster/disjoint-set.js';
import { relabel } from '../cluster/relabel.js';
import { NaanError } from '../errors.js';
import type { NodeMap } from '../graph/node-map.js';
import { counted, type DecisionAt, type Item, keepDecisions } from '../io/decisions.js';
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

/**
 * What is kept of a decision. Places: numbers of rows, and behind them those of items that are no rows of the set, through which
 * decisions hold all the same. Until the rows are known, a place below 0 stands for a name.
 */
interface Placed {
  readonly id: string;
  readonly kind: DecisionAt['kind'];
  readonly line: number;
  /** Of an identity. */
  readonly name?: string;
  /** The decision that is taken back. */
  readonly undoes?: string;
  readonly items: number[];
  /** The places that each of those is another identity than, where `from` was given. */
  readonly from?: number[];
}

export interface DecidedRows {
  readonly path: string;
  readonly rowCount: number;
  readonly placeCount: number;
  readonly placed: readonly Placed[];
  /** How decisions name the places. */
  readonly nameOf: (place: number) => string;
  readonly within: { readonly column: string; readonly labels: Labels } | undefined;
  /** Identities that are known beside decisions: rows of one label are one, rows of two labels are two. */
  readonly labelled?: { readonly name: string; readonly labels: Labels };
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
  const path = constraints ?? '';
  const names = new Names(path);
  const all = constraints === undefined ? [] : await keepDecisions(constraints, (one) => names.placed(one), onNotice);
  const placed = counted(all);
  const places = await placesOf(path, placed, names.all, { rowCount, items, itemsFile }, onNotice);
  const within =
    cannotLinkWithin === undefined
      ? undefined
      : { column: cannotLinkWithin, labels: await readColumn(cannotLinkWithin, itemsFile, rowCount) };
  return { path, rowCount, placed, ...places, within };
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

/** The names that decisions are about, each once, in the order in which they came. */
class Names {
  readonly all: Item[] = [];
  private readonly places = new Map<Item, number>();

  constructor(private readonly path: string) {}

  placed(decision: DecisionAt): Placed {
    const { id, kind, line } = decision;
    if (kind === 'undo') return { id, kind, line, undoes: decision.undoes, items: [] };
    const placeOf = (item: Item) => this.placeOf(item, line);
    const items = decision.items.map(placeOf);
    if (kind === 'name') return { id, kind, line, name: decision.name, items };
    if (kind === 'same' || decision.from === undefined) return { id, kind, line, items };
    return { id, kind, line, items, from: decision.from.map(placeOf) };
  }

  private placeOf(item: Item, line: number): number {
    // A number that no row can have is kept among the names, to be told of.
    if (typeof item === 'number' && item < 2 ** 31) return item;
    const known = this.places.get(item);
    if (known !== undefined) return known;
    if (this.all.length === mostItems) {
      throw new NaanError('BAD_INPUT', `${this.path}: line ${line}: is about more than ${mostItems} different items`);
    }
    const place = -1 - this.all.length;
    this.places.set(item, place);
    this.all.push(item);
    return place;
  }
}

/** Puts places in place of names, and checks the numbers of rows. */
async function placesOf(
  path: string,
  placed: readonly Placed[],
  said: readonly Item[],
  { rowCount, items }: Rows,
  onNotice: ((message: string) => void) | undefined,
): Promise<Pick<DecidedRows, 'placeCount' | 'nameOf'>> {
  /** A place for each name, behind the rows until the row that has the name is found. */
  const names = new Map<string, number>();
  const lines: number[] = [];
  const placeOfName = new Int32Array(said.length).fill(-1);
  const add = (place: number, line: number): number => {
    const item = place < 0 ? said[-1 - place] : place;
    if (typeof item === 'number') {
      if (item < rowCount) return item;
      const expected = rowCount === 0 ? 'but there are no rows' : `expected 0 to ${rowCount - 1}`;
      throw new NaanError('BAD_INPUT', `${path}: line ${line}: names row ${item}, ${expected}`);
    }
    const known = placeOfName[-1 - place];
    if (known >= 0) return known;
    if (items === undefined) {
      throw new NaanError(
        'BAD_INPUT',
        `${path}: line ${line}: names ${quoted(item)}, but the rows have no names: give them with --items`,
      );
    }
    placeOfName[-1 - place] = rowCount + names.size;
    names.set(item, rowCount + names.size);
    lines.push(line);
    return placeOfName[-1 - place];
  };
  for (const { items: places, from, line } of placed) {
    for (let i = 0; i < places.length; i++) places[i] = add(places[i], line);
    for (let i = 0; from !== undefined && i < from.length; i++) from[i] = add(from[i], line);
  }
  const rowOf = new Int32Array(names.size).fill(-1);
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
        rowOf[place - rowCount] = first + i;
        found++;
      }
    });
    if (total !== rowCount) {
      throw new NaanError('BAD_SHAPE', `${items!.name}: ${total} items, expected one for each of ${rowCount} rows`);
    }
    const absent = names.size - found;
    if (absent > 0) onNotice?.(`${path}: ${absent} of ${names.size} items that were decided of are not in this set`);
  }
  const moveToRows = (places: number[]): void => {
    for (let i = 0; i < places.length; i++) {
      const row = places[i] < rowCount ? -1 : rowOf[places[i] - rowCount];
      if (row >= 0) places[i] = row;
    }
  };
  if (found > 0) {
    for (const { items, from } of placed) {
      moveToRows(items);
      if (from) moveToRows(from);
    }
  }
  const describe = (wanted: number): string => {
    for (const [name, place] of names) if (place === wanted) return quoted(name);
    return `row ${wanted}`;
  };
  return { placeCount: rowCount + names.size, nameOf: describe };
}

/**
 * Constraints on the nodes of a map, or on all rows. Throws CONTRADICTION where what is one identity by one decision, or a chain
 * of them, is two by another.
 */
export function constraintsOf(decided: DecidedRows, map?: NodeMap): DecidedNodes {
  const { rowCount, placeCount, placed, within, labelled } = decided;
  const groups = new DisjointSet(placeCount);
  const identities = new Map<string, number>();
  for (const { kind, name, items } of placed) {
    if (kind === 'different') continue;
    for (const place of items) groups.unite(items[0], place);
    if (name === undefined) continue;
    const known = identities.get(name);
    if (known === undefined) identities.set(name, items[0]);
    else groups.unite(known, items[0]);
  }
  const firstOfLabel = new Map<number, number>();
  labelled?.labels.codes.forEach((code, row) => {
    const first = firstOfLabel.get(code);
    if (first !== undefined) groups.unite(first, row);
    else if (code !== -1) firstOfLabel.set(code, row);
  });
  const nodeOf = (row: number) => (map ? map.nodeOf[row] : row);
  if (map) for (let row = 0; row < rowCount; row++) if (nodeOf(row) >= 0) groups.unite(row, map.rows[nodeOf(row)]);

  const tags = new Tags(within ? rowCount : 0);
  const explicit: Placed[] = [];
  for (const one of placed) {
    if (one.kind !== 'different') continue;
    const set = explicit.push(one) - 1;
    if (one.from) {
      for (const place of one.items) tags.add(place, set, 0);
      for (const place of one.from) tags.add(place, set, 1);
    } else one.items.forEach((place, part) => void tags.add(place, set, part));
  }
  const setOfNames = explicit.length;
  if (identities.size > 1) [...identities.values()].forEach((place, part) => void tags.add(place, setOfNames, part));
  const setOfLabels = labelled ? setOfNames + 1 : setOfNames;
  for (const [code, row] of firstOfLabel) tags.add(row, setOfLabels, code);
  const firstWithin = setOfLabels + 1;
  if (within) {
    const values = within.labels.codes.slice();
    const counts = new Int32Array(relabel(values));
    for (const value of values) if (value >= 0) counts[value]++;
    values.forEach((value, row) => {
      if (value >= 0 && counts[value] > 1 && nodeOf(row) >= 0) tags.add(row, firstWithin + value, nodeOf(row));
    });
  }
  checkWhole(decided, groups, tags, {
    explicit,
    setOfNames,
    setOfLabels,
    firstWithin,
    identities: [...identities],
    map,
  });

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
  for (const { kind, items } of placed) {
    if (kind === 'name' || (kind === 'same' && items.length > 1)) isDecided[groups.find(items[0])] = 1;
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
  readonly setOfLabels: number;
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
  { explicit, setOfNames, setOfLabels, identities, map }: Context,
): string {
  const { path, nameOf: name, within, labelled } = decided;
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
  const unlabelled = labelled ? `, or put -1 for a label in ${labelled.name} that is wrong` : '';
  const advice = `take one of these decisions back by an undo${copies}${unlabelled}`;
  if (set < setOfNames) {
    const { line } = explicit[set];
    if (a === b) return `${path}: line ${line}: says that ${x} is not the identity of itself: take it back by an undo`;
    return `${path}: line ${line}: says that ${x} and ${y} are different identities, but they are one: ${by}: ${advice}`;
  }
  if (set === setOfNames) {
    const [one, other] = parts.map((identity) => quoted(identities[identity][0]));
    if (a === b) return `${path}: ${x} is named ${one} and ${other}, expected one name: ${advice}`;
    return `${path}: ${x} is named ${one} and ${y} is named ${other}, but they are one identity: ${by}: ${advice}`;
  }
  if (set === setOfLabels) {
    const [one, other] = parts.map((code) => quoted(nameOf(labelled!.labels, code)));
    return `${path}: ${x} has label ${one} and ${y} has label ${other}, but they are one identity: ${by}: ${advice}`;
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
function chain({ placed, labelled }: DecidedRows, from: number, to: number, map: NodeMap | undefined): Step[] {
  const links: { readonly places: readonly number[]; readonly why: string }[] = [];
  const named = new Map<string, { places: number[]; lines: number[] }>();
  for (const { kind, name, line, items } of placed) {
    if (kind === 'same') links.push({ places: items, why: `line ${line}` });
    if (name === undefined) continue;
    const known = named.get(name) ?? { places: [], lines: [] };
    for (const item of items) known.places.push(item);
    known.lines.push(line);
    named.set(name, known);
  }
  for (const [one, { places, lines }] of named) {
    links.push({
      places,
      why: `both ${quoted(one)}, line${lines.length > 1 ? 's' : ''} ${lines.slice(0, 5).join(', ')}`,
    });
  }
  if (labelled) {
    const rowsOf = new Map<number, number[]>();
    labelled.labels.codes.forEach((code, row) => {
      const known = rowsOf.get(code);
      if (known) known.push(row);
      else if (code !== -1) rowsOf.set(code, [row]);
    });
    for (const [code, places] of rowsOf)
      links.push({ places, why: `both label ${quoted(nameOf(labelled.labels, code))}` });
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
