import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choose, type Run, type Search, search, speedOf } from '../../src/tuning/search.js';
import { grid, type Setting } from '../../src/tuning/settings.js';

const settings = grid();
const start = 0.5;

/** A machine of which every setting has a cost of its own for a node, and whose clock only its runs move. */
function machine(perNode: (setting: Setting) => number) {
  let clock = 0;
  const lengths: number[] = [];
  const run = (setting: Setting, nodes: number): Run => {
    const seconds = perNode(setting) * nodes;
    return {
      nodes,
      seconds: start + seconds,
      stages: { order: start, score: seconds },
      work: { order: { seconds: start }, score: { seconds, shared: { busySeconds: seconds, rowsGathered: nodes } } },
    };
  };
  return {
    lengths,
    pilot: run(settings[0], 4096),
    elapsed: () => clock,
    time: async (setting: Setting, size: number): Promise<Run | undefined> => {
      const done = run(setting, size);
      clock += done.seconds;
      lengths.push(done.seconds);
      return done;
    },
  };
}

const sizes = [4096, 8192, 16_384];
const fast = settings[settings.length - 1];
const costs = (setting: Setting) => (setting === fast ? 3e-5 : 5e-5 + 1e-6 * settings.indexOf(setting));

async function best(options: Partial<Search> & Pick<Search, 'deadline' | 'time' | 'elapsed' | 'pilot'>) {
  const candidates = await search({ settings, sizes, ...options });
  const defaults = candidates.find(({ setting }) => setting === settings[0])!;
  return { candidates, defaults, chosen: choose(candidates, defaults) };
}

test('the fastest of all settings is found, and timed on every size', async () => {
  const { candidates, chosen, defaults } = await best({ ...machine(costs), deadline: 120 });
  assert.equal(candidates.length, settings.length);
  assert.equal(chosen.setting, fast);
  assert.deepEqual(new Set(chosen.runs.map(({ nodes }) => nodes)), new Set(sizes));
  assert.equal(speedOf(chosen, defaults).toFixed(6), (5 / 3).toFixed(6));
  assert.equal(candidates[0], chosen);
});

for (const deadline of [0, 1, 5, 20, 60, 300]) {
  test(`a deadline of ${deadline} s is kept, but for the one run of the defaults that there must be`, async () => {
    const { lengths, ...rest } = machine(costs);
    await best({ ...rest, deadline });
    const spent = lengths.reduce((sum, seconds) => sum + seconds, 0);
    assert(spent <= Math.max(deadline, lengths[0]) + Math.max(...lengths), `${spent} s`);
    assert(spent > deadline - 2 * Math.max(...lengths), `${spent} s: time was left`);
  });
}

test('of settings that are as fast, the one nearest to the defaults is taken', async () => {
  const { chosen } = await best({ ...machine(() => 4e-5), deadline: 60 });
  assert.equal(chosen.setting, settings[0]);
});

test('a setting that the engine refuses is left out', async () => {
  const { time, ...rest } = machine(costs);
  const refusing: Search['time'] = async (setting, size) => (setting === fast ? undefined : time(setting, size));
  const { candidates, chosen } = await best({ ...rest, time: refusing, deadline: 120 });
  assert.equal(candidates.length, settings.length - 1);
  assert.equal(chosen.setting, settings[0]);
});
