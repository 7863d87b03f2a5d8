import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { choose, compare, confirm, type MeasuredRun, type Search, search, speedOf } from '../../src/tuning/search.js';
import { grid, type Setting } from '../../src/tuning/settings.js';

const settings = grid();
const nodes = 4096;
const start = 0.2;

/** Numbers from 0 to 1 that a seed settles (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Machine {
  /** Times as fast as the defaults. */
  readonly speed: (setting: Setting) => number;
  /** Standard deviation of the logarithm of a run's time; other work, which comes and goes, doubles it in one run of ten. */
  readonly noise: number;
  /** How much slower the machine has become at the end. */
  readonly drift?: number;
  readonly seed: number;
}

/** A machine whose clock only its runs move. */
function machine({ speed, noise, drift = 1, seed }: Machine, deadline: number) {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  let clock = 0;
  const lengths: number[] = [];
  const time = async (setting: Setting): Promise<MeasuredRun> => {
    const burst = next() < 0.1 ? 2 : 1;
    const slower = drift ** Math.min(1, clock / Math.max(1, deadline));
    const seconds = (0.3 / speed(setting)) * slower * Math.exp(burst * noise * normal());
    clock += start + seconds;
    lengths.push(start + seconds);
    return {
      nodes,
      seconds: start + seconds,
      stages: { order: start, score: seconds },
      work: { order: { seconds: start }, score: { seconds, shared: { busySeconds: seconds, rowsGathered: nodes } } },
    };
  };
  return { settings, lengths, deadline, secondsEach: 0.5, elapsed: () => clock, time };
}

async function best(options: Search) {
  const candidates = await search(options);
  const defaults = candidates.find(({ setting }) => setting === settings[0])!;
  return { candidates, defaults, ...choose(candidates, defaults) };
}

const isDefault = (setting: Setting) => setting === settings[0];
const f32 = settings.filter(({ precision }) => precision !== 'bf16');
const fast = f32[f32.length - 1];
const seeds = Array.from({ length: 100 }, (_, i) => 1000 + i);

async function outcomes(of: Omit<Machine, 'seed'>, deadline: number) {
  return Promise.all(seeds.map((seed) => best(machine({ ...of, seed }, deadline))));
}

for (const noise of [0, 0.03, 0.1, 0.4]) {
  test(`where all settings are as fast, the defaults stay, with noise of ${noise}`, async () => {
    for (const drift of [1, 3]) {
      const all = await outcomes({ speed: () => 1, noise, drift }, 60);
      const others = all.filter(({ verdict }) => verdict === 'faster').length;
      assert(others <= 5, `${others} of ${seeds.length} runs chose another setting`);
    }
  });
}

test('a machine without noise is told that nothing is faster, and at once', async () => {
  const { lengths, ...rest } = machine({ speed: () => 1, noise: 0, seed: 1 }, 600);
  const { verdict, chosen } = await best(rest);
  assert.equal(verdict, 'not faster');
  assert(isDefault(chosen.setting));
  assert(lengths.length < 200, `${lengths.length} runs`);
});

test('a machine of much noise is told that nothing can be told', async () => {
  const all = await outcomes({ speed: (setting) => (setting === fast ? 1.05 : 1), noise: 0.4 }, 60);
  assert(all.filter(({ verdict }) => verdict === 'undecided').length > 80);
});

for (const [noise, drift] of [
  [0, 1],
  [0.05, 1],
  [0.05, 3],
] as const) {
  test(`a setting that is faster by half is found with noise of ${noise} and drift of ${drift}`, async () => {
    const speed = (setting: Setting) => (setting === fast ? 1.5 : 1 - 0.002 * settings.indexOf(setting));
    const all = await outcomes({ speed, noise, drift }, 60);
    const found = all.filter(({ chosen }) => chosen.setting === fast);
    assert(found.length >= 95, `${found.length} of ${seeds.length} runs`);
    for (const { chosen, verdict } of found) {
      assert.equal(verdict, 'faster');
      assert(Math.abs(speedOf(chosen) - 1.5) < 0.25, String(speedOf(chosen)));
    }
  });
}

test('rows of half the size are chosen when they are worth it, and not for a few per cent or for noise', async () => {
  const halves = (gain: number) => (setting: Setting) => (setting.precision === 'bf16' ? gain : 1);
  const chosenOf = async (gain: number, noise: number) =>
    (await outcomes({ speed: halves(gain), noise }, 60)).filter(({ chosen }) => chosen.setting.precision === 'bf16')
      .length;
  assert.equal(await chosenOf(1.05, 0.02), 0);
  assert((await chosenOf(1, 0.3)) <= 2);
  assert((await chosenOf(1.5, 0.05)) >= 95);
});

test('whatever the machine: the verdict agrees with the choice, and no run begins that should end after the deadline', async () => {
  const anyMachine = fc.record({
    gains: fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 1, maxLength: 20 }),
    noise: fc.double({ min: 0, max: 0.5, noNaN: true }),
    seed: fc.integer(),
    deadline: fc.constantFrom(0, 1, 5, 20, 60, 200),
  });
  await fc.assert(
    fc.asyncProperty(anyMachine, async ({ gains, noise, seed, deadline }) => {
      const speed = (setting: Setting) => (isDefault(setting) ? 1 : gains[settings.indexOf(setting) % gains.length]);
      const { lengths, ...rest } = machine({ speed, noise, seed }, deadline);
      const { candidates, defaults, chosen, verdict } = await best(rest);
      assert.equal(verdict === 'faster', chosen !== defaults);
      if (verdict === 'faster') {
        assert.equal(compare(chosen, defaults), 'faster');
        assert(speedOf(chosen) > 1.02);
        assert(chosen.final.length >= 7);
      }
      assert(candidates.every(({ screening, final }) => screening.length + final.length > 0));
      for (const { round, speed } of [...defaults.screening, ...defaults.final]) {
        assert.equal(speed, 1, `round ${round}`);
      }
      const spent = lengths.reduce((sum, seconds) => sum + seconds, 0);
      const round = 5 * Math.max(...lengths);
      assert(spent <= Math.max(deadline, lengths[0]) + round, `${spent} s of ${deadline}`);
    }),
    { numRuns: 200 },
  );
});

test('of settings that are as fast, the one nearest to the defaults is taken', async () => {
  const near = settings.find((setting) => setting.batch === 256 && setting.shards === 'auto')!;
  const speed = (setting: Setting) => (setting.batch === 256 && setting.precision !== 'bf16' ? 1.3 : 1);
  const { chosen, verdict } = await best(machine({ speed, noise: 0, seed: 1 }, 120));
  assert.equal(verdict, 'faster');
  assert.equal(chosen.setting, near);
});

test('a setting that the engine refuses is left out', async () => {
  const { time, ...rest } = machine({ speed: (setting) => (setting === fast ? 2 : 1), noise: 0, seed: 1 }, 120);
  const refusing: Search['time'] = async (setting) => (setting === fast ? undefined : time(setting));
  const { candidates, chosen } = await best({ ...rest, time: refusing });
  assert(candidates.every(({ setting }) => setting !== fast));
  assert(isDefault(chosen.setting));
});

test('a setting that is faster on the sample stays only where the whole set should gain as well', async () => {
  const {
    candidates: _,
    defaults,
    ...choice
  } = await best(machine({ speed: (setting) => (setting === fast ? 1.5 : 1), noise: 0, drift: 1, seed: 1 }, 60));
  assert.equal(choice.verdict, 'faster');
  const seconds = (ofChosen: number) => (candidate: unknown) => (candidate === choice.chosen ? ofChosen : 10);
  assert.deepEqual(confirm(choice, defaults, seconds(9)), choice);
  for (const ofChosen of [10, 11]) {
    const kept = confirm(choice, defaults, seconds(ofChosen));
    assert.deepEqual(kept, { chosen: defaults, verdict: 'faster on the sample alone' });
  }
});
