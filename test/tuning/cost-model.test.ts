import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitCosts, predict, type Timing } from '../../src/tuning/cost-model.js';

/** A machine that keeps exactly to the model. */
function timing(nodes: number, { start, order, score }: { start: number; order: number; score: number }): Timing {
  const stages = { order: 0.5 + order * nodes, score: score * nodes };
  return { nodes, seconds: start + stages.order + stages.score, stages };
}

test('from two sizes of a machine that keeps to the model, every size is foretold', () => {
  const positive = fc.double({ min: 1e-7, max: 1e-3, noNaN: true });
  const machine = fc.record({ start: fc.double({ min: 0, max: 2, noNaN: true }), order: positive, score: positive });
  fc.assert(
    fc.property(machine, fc.integer({ min: 100_000, max: 10_000_000 }), (costs, nodes) => {
      const model = fitCosts([timing(10_000, costs), timing(40_000, costs)]);
      const { seconds } = timing(nodes, costs);
      assert(Math.abs(predict(model, nodes) / seconds - 1) < 1e-6);
    }),
  );
});

test('one disturbed run of three does not move the prediction', () => {
  const costs = { start: 0.25, order: 1e-6, score: 2e-5 };
  const runs = [10_000, 40_000].flatMap((nodes) => [timing(nodes, costs), timing(nodes, costs)]);
  const disturbed = { ...timing(40_000, costs), stages: { order: 9, score: 9 } };
  assert.deepEqual(predict(fitCosts([...runs, disturbed]), 1e6).toFixed(6), timing(1e6, costs).seconds.toFixed(6));
});

test('neither part of a cost is negative', () => {
  const falling = (nodes: number, score: number): Timing => ({ nodes, seconds: score, stages: { score } });
  assert.deepEqual(fitCosts([falling(1000, 3), falling(2000, 2)]).stages.score.perNode, 0);
  const steep = fitCosts([falling(1000, 1), falling(2000, 4)]).stages.score;
  assert.equal(steep.fixed, 0);
  assert(steep.perNode > 0);
});

test('one size alone takes everything in the stages for the cost of nodes', () => {
  const { start, stages } = fitCosts([{ nodes: 1000, seconds: 3, stages: { score: 2 } }]);
  assert.equal(start, 1);
  assert.deepEqual(stages.score, { fixed: 0, perNode: 0.002 });
});
