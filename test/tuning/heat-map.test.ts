import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heatMap } from '../../src/tuning/heat-map.js';
import { grid, optionsOf } from '../../src/tuning/settings.js';

const settings = grid();
const trials = settings.map((setting, i) => ({ setting, speed: 1 + i / 100, rounds: i === 3 ? 9 : 0 }));
const set = { nodes: 584_000, sample: 12_345 };

test('every speed is on the map, the choice outlined once, and the shards are those of the set', () => {
  const map = heatMap({ ...set, trials, best: trials[3] }, 'F & K < 1');
  for (const { speed } of trials) assert(map.includes(`>${speed.toFixed(2)}</text>`), String(speed));
  assert.equal(map.split('stroke="#ff725c"').length, 2);
  assert(map.includes('<title>F &amp; K &lt; 1</title>'));
  assert(map.includes('on 12,345 rows'));
  assert.match(map, /font-weight="bold" fill="#\w+">1\.03</);
  for (const setting of settings) assert(map.includes(`>${optionsOf(setting, set.nodes).shards}</text>`));
});

test('settings that were not tried stay blank, and panels without any are left out', () => {
  const [first] = trials;
  const map = heatMap({ ...set, trials: [first], best: first }, 'one');
  assert.equal(map.split('font-weight="bold"').length, 3, 'the title and one panel');
  assert(map.includes('stroke-dasharray'));
});
