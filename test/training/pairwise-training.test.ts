import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auc } from '../../src/evaluation/auc.js';
import { candidateEdges } from '../../src/graph/candidate-edges.js';
import { RandomStream } from '../../src/graph/random.js';
import { scorePairwise } from '../../src/heads/pairwise/scorer.js';
import { checkModel, expectedTensors } from '../../src/model/model.js';
import { type PairwiseState, trainPairwise } from '../../src/training/pairwise/training.js';

const settings = { k: 8, sampleHops: 8, rounds: 2, hidden: [8], folds: 3, epochs: 6, batch: 64, seed: 7 };

/** Groups of noisy vectors with their exact kNN lists; one node in ten of unknown identity. */
function groups(count: number, size: number, seed: number) {
  const [nodeCount, dim, width] = [count * size, 12, settings.k + 1];
  const random = new RandomStream(seed, 0, 0);
  const centres = Array.from({ length: count * dim }, () => random.gaussian());
  const rows = Array.from({ length: nodeCount }, (_, node) => {
    const row = Array.from(
      { length: dim },
      (_, c) => centres[Math.floor(node / size) * dim + c] + 0.75 * random.gaussian(),
    );
    const norm = Math.hypot(...row);
    return row.map((x) => x / norm);
  });
  const ids = new Int32Array(nodeCount * width);
  const similarities = new Float32Array(nodeCount * width);
  rows.forEach((row, node) => {
    const all = rows.map((other, id) => ({
      id,
      s: id === node ? 2 : row.reduce((sum, x, c) => sum + x * other[c], 0),
    }));
    all.sort((x, y) => y.s - x.s);
    all.slice(0, width).forEach(({ id, s }, c) => {
      ids[node * width + c] = id;
      similarities[node * width + c] = s;
    });
  });
  const lists = { nodeCount, width, ids, similarities };
  const truth = Int32Array.from({ length: nodeCount }, (_, node) => Math.floor(node / size));
  const labels = truth.map((identity, node) => (node % 10 === 3 ? -1 : identity));
  return { lists, edges: candidateEdges(lists, settings.sampleHops), labels, truth };
}

const set = groups(30, 8, 1);

test('training tells identities apart that it has not seen, better than the cosine', async () => {
  const { model, scores, rounds, epochs } = await trainPairwise(set, { settings, provenance: { a: 'b' } });
  checkModel(model, 'trained');
  assert.deepEqual(model.config.provenance, { a: 'b' });
  assert.equal(epochs.length, settings.rounds * (settings.folds + 1) * settings.epochs);
  assert.equal(rounds.length, settings.rounds);
  assert.ok(rounds[1].auc > 0.8 && rounds[1].loss < 0.69, JSON.stringify(rounds));
  assert.equal(scores.length, set.edges.targets.length);
  const network = epochs.filter(({ round, network }) => round === 0 && network === settings.folds);
  assert.ok(network[5].loss < network[0].loss);

  const unseen = groups(30, 8, 2);
  const { lists, edges, truth } = unseen;
  const same = new Uint8Array(edges.targets.length);
  const cosine = new Float32Array(same.length);
  for (let a = 0; a < edges.nodeCount; a++) {
    for (let e = edges.offsets[a]; e < edges.offsets[a + 1]; e++) {
      const b = edges.targets[e];
      same[e] = Number(truth[a] === truth[b]);
      const listOf = (node: number) => [...lists.ids.subarray(node * lists.width, (node + 1) * lists.width)];
      const [from, at] = listOf(a).includes(b) ? [a, listOf(a).indexOf(b)] : [b, listOf(b).indexOf(a)];
      cosine[e] = lists.similarities[from * lists.width + at];
    }
  }
  const found = auc(await scorePairwise(model, lists, edges), same);
  assert.ok(found > auc(cosine, same), `${found}, by the cosine ${auc(cosine, same)}`);
});

test('training goes on from any state to the same model, and names of identities do not matter', async () => {
  const states: PairwiseState[] = [];
  const keep = (state: PairwiseState): PairwiseState => ({
    ...JSON.parse(JSON.stringify(state)),
    tensors: new Map([...state.tensors].map(([name, data]) => [name, data.slice()])),
  });
  const whole = await trainPairwise(set, { settings, onEpoch: (_, state) => void states.push(keep(state)) });
  const last = states.length - 1;
  // In the first network, after the last epoch of one, in the second round, at the very end.
  for (const at of [1, settings.epochs - 1, Math.floor(last / 2) + 5, last]) {
    const resumed = await trainPairwise(set, { settings, state: states[at] });
    assert.deepEqual(resumed, whole, `from state ${at}`);
  }
  // A record of more epochs than a call takes arguments.
  const many = { ...states[last], epochs: Array.from({ length: 150_000 }, () => states[last].epochs[0]) };
  assert.equal((await trainPairwise(set, { settings, state: many })).epochs.length, 150_000);
  const renamed = set.labels.map((label) => (label < 0 ? -1 : 1000 - 7 * label));
  const { model } = await trainPairwise({ ...set, labels: renamed }, { settings });
  assert.deepEqual(model, whole.model);
});

test('a round that does not lower the loss on what was held out is the last, and left out', async () => {
  const many = { ...settings, rounds: 12, epochs: 2 };
  const { model, rounds, scores } = await trainPairwise(set, { settings: many });
  const kept = rounds.length - 1;
  const losses = rounds.map(({ loss }) => loss);
  assert.ok(rounds.length < many.rounds && losses[kept] >= losses[kept - 1], losses.join(' '));
  losses.slice(1, kept).forEach((loss, r) => {
    assert.ok(loss < losses[r], losses.join(' '));
  });
  assert.equal(model.config.rounds, kept);
  assert.equal(model.tensors.size, expectedTensors(model.config).length);
  const asked = await trainPairwise(set, { settings: { ...many, rounds: kept } });
  assert.deepEqual(asked.model, model);
  asked.scores.forEach((score, e) => {
    assert.ok(Math.abs(scores[e] - score) <= 2 ** -18);
  });
});

test('of many edges a random part is trained on', async () => {
  const { epochs } = await trainPairwise(set, { settings: { ...settings, rounds: 1, epochs: 1, maxEdges: 300 } });
  for (const { pairs } of epochs) assert.ok(pairs > 0 && pairs < 400, `${pairs}`);
});

test('what cannot be trained on is refused, and an abort stops it', async () => {
  const wrong = (labels: Int32Array) => trainPairwise({ ...set, labels }, { settings });
  await assert.rejects(wrong(set.labels.subarray(1)), {
    code: 'BAD_SHAPE',
    message: /labels: got 239, expected .* 240/,
  });
  await assert.rejects(wrong(new Int32Array(240)), { code: 'BAD_INPUT', message: /expected pairs of both kinds/ });
  await assert.rejects(wrong(new Int32Array(240).fill(-1)), { code: 'BAD_INPUT' });
  const signal = AbortSignal.abort();
  await assert.rejects(trainPairwise(set, { settings, signal }), { code: 'CANCELLED' });
});
