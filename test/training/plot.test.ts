import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Course, plotCourse } from '../../src/training/plot.js';

const course: Course = {
  unit: 'epoch',
  until: 3,
  trainingLoss: Array.from({ length: 12 }, (_, i) => [(i + 1) / 4, 0.7 / (i + 1)] as const),
  heldOut: [
    { at: 1, loss: 0.5, auc: 0.8, accuracy: 0.7 },
    { at: 2, loss: 0.4, auc: 0.9, accuracy: 0.8, f: 0.85 },
    { at: 3, loss: 0.3, auc: 0.95, accuracy: 0.85, f: 0.9 },
  ],
};

/** Points of the paths of a colour. */
function line(svg: string, colour: string): [number, number][] {
  const path = new RegExp(`d="M([^"]*)" fill="none" stroke="${colour}"`).exec(svg)?.[1] ?? '';
  return path.split('L').map((point) => point.split(' ').map(Number) as [number, number]);
}

test('curves lie within the picture, in order, and losses that fall go down', () => {
  const svg = plotCourse(course, 'a < b & c');
  const [, width, height] = (/viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? []).map(Number);
  const loss = line(svg, '#4269d0');
  assert.equal(loss.length, 12);
  for (const [x, y] of loss) assert.ok(x > 0 && x < width && y > 0 && y < height);
  for (let i = 1; i < loss.length; i++) assert.ok(loss[i][0] > loss[i - 1][0] && loss[i][1] > loss[i - 1][1]);
  assert.equal(line(svg, '#3a9b5c').length, 2, 'F is drawn where it is known');
  assert.match(svg, /<title>a &lt; b &amp; c<\/title>/);
  assert.match(svg, /training loss 0\.05833/);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity|href|url\(/);
});

test('nothing held out: the losses alone', () => {
  const svg = plotCourse({ ...course, heldOut: [] }, 'plain');
  assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  assert.doesNotMatch(svg, /held-out loss|AUC|NaN/);
});

test('a course of more points than a call takes arguments', () => {
  const trainingLoss = Array.from({ length: 200_000 }, (_, i) => [i / 1000, 1 / (1 + i)] as const);
  assert.equal(line(plotCourse({ ...course, until: 200, trainingLoss }, 'long'), '#4269d0').length, 200_000);
});
