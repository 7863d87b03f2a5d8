import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, count, duration, short, table } from '../../src/cli/format.js';
import { Progress, progressLine } from '../../src/cli/progress.js';
import type { ProgressEvent } from '../../src/progress.js';

const at = (done: number, stage = 'score'): ProgressEvent => ({ stage, done, total: 1000, unit: 'edges' });

/** A screen that keeps what was written, and a clock that the test moves. */
function watch(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const progress = new Progress({ isTTY, columns, write: (text) => written.push(text) }, { now: () => clock.ms });
  return { progress, written, clock };
}

test('a line tells stage, percent, rate and time left', () => {
  assert.equal(progressLine(at(0), 0), 'score        0 %');
  assert.equal(progressLine(at(250), 5), 'score       25 %  50 edges/s  15 s left');
  assert.equal(progressLine({ ...at(0), total: 0 }, 9), 'score        0 %');
  assert.equal(progressLine({ ...at(600), from: 500 }, 5), 'score       60 %  20 edges/s  20 s left');
});

test('a narrow line leaves out the rate, then the time left, and never half of either', () => {
  const lines = [60, 38, 30, 20, 8].map((columns) => progressLine(at(250), 5, columns));
  assert.deepEqual(lines, [
    'score       25 %  50 edges/s  15 s left',
    'score       25 %  15 s left',
    'score       25 %  15 s left',
    'score       25 %',
    'score   ',
  ]);
});

test('a bar is ASCII where the locale is not UTF-8', () => {
  const written: string[] = [];
  const screen = { isTTY: true, columns: 80, write: (text: string) => written.push(text) };
  new Progress(screen, { ascii: true, now: () => 0 }).update(at(250));
  assert.deepEqual(written, ['\r\x1b[2Kscore       25 % #####---------------']);
});

test('without a terminal: one plain line at once, then every few seconds', () => {
  const { progress, written, clock } = watch(false);
  for (clock.ms = 0; clock.ms <= 9000; clock.ms += 250) progress.update(at(clock.ms / 9));
  assert.equal(written.length, 4);
  for (const line of written) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ score {6} {0,2}\d+ %[^\r]*\n$/);
  progress.clear();
  assert.equal(written.length, 4);
});

test('on a terminal the line is redrawn within its width and taken away at the end', () => {
  const { progress, written, clock } = watch(true, 20);
  progress.update(at(0));
  clock.ms = 50;
  progress.update(at(1));
  clock.ms = 2000;
  progress.update(at(500));
  assert.deepEqual(written, ['\r\x1b[2Kscore        0 %', '\r\x1b[2Kscore       50 %']);
  progress.clear();
  assert.equal(written.at(-1), '\r\x1b[2K');
});

test('the rate is that of the stage, not of the run', () => {
  const { progress, written, clock } = watch(false);
  progress.update(at(0, 'embed'));
  clock.ms = 100_000;
  progress.update(at(0, 'score'));
  clock.ms = 110_000;
  progress.update(at(500, 'score'));
  assert.equal(written.at(-1)?.split('Z ')[1], 'score       50 %  50 edges/s  10 s left\n');
});

test('numbers as people read them', () => {
  assert.deepEqual([0, 999, 1234, 1_234_567, 2e9].map(short), ['0', '999', '1.2k', '1.2M', '2.0G']);
  assert.deepEqual([0.0123, 1.5, 9.999, 12.4, 75, 7325].map(duration), [
    '12 ms',
    '1.50 s',
    '10.00 s',
    '12 s',
    '1 min 15 s',
    '2 h 2 min',
  ]);
  assert.equal(count(1234567), '1,234,567');
  assert.deepEqual([5 * 2 ** 20, 3 * 2 ** 30].map(bytes), ['5 MiB', '3.0 GiB']);
  assert.equal(
    table([
      ['a', 'bb'],
      ['ccc', 'd'],
    ]),
    'a    bb\nccc   d',
  );
});
