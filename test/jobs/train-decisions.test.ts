/** Training from what people have decided: what is not known is not guessed, and what they decide of some people helps with others. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Truth } from '../../src/cluster/truth.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { IdentityAgreement } from '../../src/evaluation/identity-sums.js';
import { edgesFromPairs } from '../../src/graph/candidate-edges.js';
import { RandomStream } from '../../src/graph/random.js';
import { knn, label, type TrainOptions, train } from '../../src/index.js';
import { truthOfRows } from '../../src/jobs/train-decisions.js';
import { trainingPairs } from '../../src/training/pairwise/pairs.js';
import { temporaryFolder } from '../cli/naan.js';

const folder = temporaryFolder(after);
const [people, each, dim] = [80, 10, 32];

/** People before two cameras, each of which shifts its images its own way, in random order. */
async function shiftedSet() {
  const random = new RandomStream(11, 0, 0);
  const vector = (length: number) =>
    Float64Array.from({ length: dim }, () => (length * random.gaussian()) / Math.sqrt(dim));
  const cameras = [vector(0.5), vector(0.5)];
  const centres = Array.from({ length: people }, () => vector(1));
  const order = Array.from({ length: people * each }, (_, i) => i).sort(
    (a, b) => ((a * 7919) % 801) - ((b * 7919) % 801) || a - b,
  );
  const truth = Int32Array.from(order, (i) => Math.floor(i / each));
  const rows = new Float32Array(truth.length * dim);
  truth.forEach((person, row) => {
    const noise = vector(0.8);
    const camera = cameras[row % 2];
    const x = noise.map((value, c) => value + centres[person][c] + camera[c]);
    const norm = Math.hypot(...x);
    rows.set(
      x.map((value) => value / norm),
      row * dim,
    );
  });
  const features = { rows, dim };
  const { graph } = await knn(features, { k: 20, method: 'exact' });
  return { features, truth, graph };
}

const set = shiftedSet();

let written = 0;
function decisionsFile(decisions: readonly Record<string, unknown>[]): string {
  const path = join(folder, `decisions${written++}.jsonl`);
  const time = '2026-11-26T21:40:12Z';
  writeFileSync(path, decisions.map((one, i) => `${JSON.stringify({ id: `${i}`, time, ...one })}\n`).join(''));
  return path;
}

/** What is decided of some people: all their rows are one, and they have names. */
async function named(some: number) {
  const { truth } = await set;
  return Array.from({ length: some }, (_, person) => ({
    kind: 'name',
    name: `p${person}`,
    items: [...truth.keys()].filter((row) => truth[row] === person),
  }));
}

async function options(more: Partial<TrainOptions>): Promise<TrainOptions> {
  const { features, graph } = await set;
  return { features, knn: graph, threads: 2, batch: 64, ...more };
}

test('decisions about some people help with the others, and it is said how much', async () => {
  const { features, graph, truth } = await set;
  const out = join(folder, 'helps', 'model.safetensors');
  const decisions = decisionsFile(await named(40));
  const { model, summary } = await train(await options({ out, decisions }));
  assert.equal(summary.identities, 40);
  const { before, after: trained, pairs, same } = summary.decided!;
  assert.ok(pairs > 500 && same > 100 && same < pairs, JSON.stringify(summary.decided));
  assert.ok(trained.loss < before.loss && trained.auc! > before.auc!, JSON.stringify(summary.decided));
  const history = JSON.parse(readFileSync(join(folder, 'helps', 'train.json'), 'utf8'));
  assert.deepEqual(history.decided, summary.decided);
  assert.equal(history.inputs.decisions.path, decisions);

  const others = truth.map((person) => (person < 40 ? -1 : person));
  const quality = async (given: typeof model | undefined) => {
    const { labels } = await label({ features, knn: graph, model: given, threads: 2 });
    return evaluate(labels, others).all.bcubed.f;
  };
  const [earlier, later] = [await quality(undefined), await quality(model)];
  assert.ok(later > earlier + 0.1, `${earlier} before, ${later} after ${JSON.stringify(summary.decided)}`);
});

test('threads change nothing, and a training goes on to the same model, but not with other decisions', async () => {
  const decisions = decisionsFile(await named(30));
  const short = { decisions, epochs: 3 };
  const whole = await train(await options({ ...short, threads: 1, out: join(folder, 'whole', 'm.safetensors') }));
  const threaded = await train(await options({ ...short, threads: 2 }));
  assert.deepEqual(threaded.model, whole.model);

  const out = join(folder, 'resumed', 'm.safetensors');
  const stop = new AbortController();
  const stopped = train(await options({ ...short, out, signal: stop.signal, onReport: () => stop.abort() }));
  await assert.rejects(stopped, { code: 'CANCELLED' });
  const other = decisionsFile((await named(31)).slice(1));
  await assert.rejects(train(await options({ ...short, out, decisions: other, resume: true })), {
    code: 'BAD_USAGE',
    message: /was made with (labels|decisions) /,
  });
  const resumed = await train(await options({ ...short, out, resume: true }));
  assert.deepEqual(resumed.model, whole.model);
  assert.deepEqual(resumed.summary.decided, whole.summary.decided);
});

/** Decisions and labels about rows by their numbers. */
async function truthFrom(lines: readonly Record<string, unknown>[], labels: Int32Array): Promise<Truth> {
  const rows = { rowCount: labels.length, labels: { codes: labels }, labelsName: 'labels.npy' };
  return truthOfRows(
    { features: { rows: Float32Array.of(1), dim: 1 }, knn: '', decisions: decisionsFile(lines) },
    rows,
  );
}

test('pairs of which nothing is known are left out, whatever labels and decisions say of others', async () => {
  const random = new RandomStream(3, 0, 0);
  const some = (rows: number) => Array.from({ length: 1 + random.below(rows) }, () => random.below(12));
  let contradictions = 0;
  for (let round = 0; round < 300; round++) {
    const labels = Int32Array.from({ length: 12 }, () => (random.below(3) === 0 ? random.below(3) : -1));
    const lines = Array.from({ length: random.below(5) }, () => {
      const items = [...new Set(some(3))];
      const from = some(2).filter((row) => !items.includes(row));
      const kind = random.below(3);
      if (kind === 0) return { kind: 'same', items };
      if (kind === 1 && from.length > 0) return { kind: 'different', items, from };
      return { kind: 'name', items, name: `n${random.below(2)}` };
    });
    // What follows, by steps until nothing new does: 1 the same, 0 different, undefined not known.
    const naive: (number | undefined)[][] = Array.from({ length: 12 }, () => new Array(12));
    let isContradiction = false;
    const say = (a: number, b: number, value: number): boolean => {
      if (naive[a][b] === value) return false;
      if (naive[a][b] !== undefined) isContradiction = true;
      naive[a][b] = value;
      naive[b][a] = value;
      return true;
    };
    for (let a = 0; a < 12; a++) {
      say(a, a, 1);
      for (let b = 0; b < a; b++) if (labels[a] >= 0 && labels[b] >= 0) say(a, b, Number(labels[a] === labels[b]));
    }
    const names = lines.flatMap((line) => (line.name ? line.items.map((row) => [row, line.name] as const) : []));
    for (const [a, one] of names) for (const [b, other] of names) say(a, b, Number(one === other));
    for (const { kind, items, from } of lines) {
      if (kind === 'same') for (const row of items) say(items[0], row, 1);
      if (kind === 'different') for (const a of items) for (const b of from!) say(a, b, 0);
    }
    for (let isNew = true; isNew && !isContradiction; ) {
      isNew = false;
      for (let a = 0; a < 12; a++) {
        for (let b = 0; b < 12; b++) {
          for (let c = 0; c < 12; c++) {
            const known = naive[a][b] === 1 ? naive[b][c] : undefined;
            if (known !== undefined && say(a, c, known)) isNew = true;
          }
        }
      }
    }
    const found = truthFrom(lines, labels);
    if (isContradiction) {
      contradictions++;
      await assert.rejects(found, { code: 'CONTRADICTION' });
      continue;
    }
    const { labels: identities, differences } = await found;
    const all = everyPair(12);
    const { same } = trainingPairs(all, identities, 2, 1, identities, differences);
    for (let a = 0; a < 12; a++) {
      for (let e = all.offsets[a]; e < all.offsets[a + 1]; e++) {
        assert.equal(
          same[e],
          naive[a][all.targets[e]] ?? -1,
          JSON.stringify({ lines, labels: [...labels], a, b: all.targets[e] }),
        );
      }
    }
  }
  assert.ok(contradictions > 20 && contradictions < 280, `${contradictions}`);
});

function everyPair(nodeCount: number) {
  const pairs: number[] = [];
  for (let a = 0; a < nodeCount; a++) for (let b = a + 1; b < nodeCount; b++) pairs.push(a, b);
  return edgesFromPairs(nodeCount, Int32Array.from(pairs)).edges;
}

test('agreement counts in a cluster only rows that are known to be others', async () => {
  // Rows 0 1, 2 3 and 4 5 are people; the first is known not to be the second, and nothing of the third.
  const lines = [
    { kind: 'same', items: [0, 1] },
    { kind: 'same', items: [2, 3] },
    { kind: 'same', items: [4, 5] },
    { kind: 'different', items: [0], from: [3] },
  ];
  const { labels, differences } = await truthFrom(lines, new Int32Array(7).fill(-1));
  assert.deepEqual([...labels], [0, 0, 1, 1, 2, 2, -1]);
  const agreement = new IdentityAgreement(labels, differences);
  const of = (cut: number[]) => agreement.agreement(agreement.sums(Int32Array.from(cut)));
  assert.deepEqual(of([0, 0, 1, 1, 1, 1, 1]).bcubed, { precision: 1, recall: 1, f: 1 });
  const { bcubed, pairwise } = of([0, 0, 0, 0, 0, 0, 0]);
  assert.ok(Math.abs(bcubed.precision - 4 / 6) < 1e-12, `${bcubed.precision}`);
  // Pairs 01 23 45, and the four of the first and the second.
  assert.ok(Math.abs(pairwise.precision - 3 / 7) < 1e-12, `${pairwise.precision}`);
  assert.equal(of([0, 0, 0, 1, 2, 2, 2]).bcubed.recall, 5 / 6);
});

test('decisions that contradict labels are refused with the chain', async () => {
  const labels = Int32Array.of(4, 4, 9, -1, -1);
  const chain = [
    { kind: 'same', items: [1, 3] },
    { kind: 'same', items: [3, 2] },
  ];
  await assert.rejects(truthFrom(chain, labels), {
    code: 'CONTRADICTION',
    message:
      /row 0 has label '?4'? and row 2 has label '?9'?, but they are one identity: row 0 = row 1 \(both label '?4'?\), row 1 = row 3 \(line 1\), row 3 = row 2 \(line 2\): take one of these decisions back by an undo, or put -1 for a label in labels\.npy that is wrong$/,
  });
  await assert.rejects(truthFrom([{ kind: 'different', items: [0, 1] }], labels), {
    code: 'CONTRADICTION',
    message:
      /line 1: says that row 0 and row 1 are different identities, but they are one: row 0 = row 1 \(both label '?4'?\)/,
  });
});

test('too little that was decided is said in a line', async () => {
  const accepted = (await named(20)).map(({ items }) => ({ kind: 'same', items }));
  await assert.rejects(train(await options({ decisions: decisionsFile(accepted) })), {
    code: 'BAD_INPUT',
    message:
      /there is no pair of two identities: expected pairs of both kinds; try more decisions of both kinds, or --labels$/,
  });
  await assert.rejects(train(await options({ decisions: decisionsFile(accepted.slice(0, 2)) })), {
    code: 'BAD_INPUT',
    message: /decisions\d+\.jsonl: says of 2 identities of these rows, expected 3 identities or more/,
  });
  const { truth } = await set;
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const decisions = decisionsFile([{ kind: 'same', items: [0] }]);
  const { summary } = await train(await options({ decisions, labels: truth, epochs: 1, onNotice }));
  assert.equal(summary.decided, undefined);
  assert.match(notices.join('\n'), /^\S+: decides of no two neighbours: nothing says how well models agree with it$/m);
  await assert.rejects(train(await options({ decisions, labels: truth, head: 'concat' })), { code: 'BAD_USAGE' });
});
