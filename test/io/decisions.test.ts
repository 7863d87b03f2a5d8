import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { appendDecisions, type Decision, inForce, keepDecisions, readDecisions } from '../../src/io/decisions.js';
import { temporaryFolder } from './python.js';

const time = '2026-11-26T21:40:12.345Z';
const decisions: Decision[] = [
  { id: 'a', time, kind: 'same', items: ['x.jpg', 'ü.jpg', 3] },
  { id: 'b', time, kind: 'different', items: ['x.jpg'], from: [4, 5] },
  { id: 'c', time, kind: 'name', items: ['x.jpg'], name: 'Ada' },
  { id: 'd', time, kind: 'undo', undoes: 'b' },
];

test('a file cut at any byte keeps the decisions before it, and goes on with whole lines', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  await appendDecisions(path, decisions.slice(0, 1));
  await appendDecisions(path, decisions.slice(1));
  const whole = readFileSync(path);
  assert.deepEqual(
    await readDecisions(path),
    decisions.map((decision, i) => ({ ...decision, line: i + 1 })),
  );
  const more: Decision = { id: 'e', time, kind: 'undo', undoes: 'd' };
  for (let length = 1; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const notices: string[] = [];
    const kept = await readDecisions(path, (notice) => notices.push(notice));
    const text = whole.subarray(0, length).toString('latin1');
    const lines = text.split('\n').filter((line) => line !== '');
    // A line that lacks nothing but its end counts.
    const isTorn = lines.length > 0 && !lines[lines.length - 1].endsWith('}');
    assert.equal(kept.length, lines.length - Number(isTorn));
    assert.equal(notices.length, Number(isTorn));
    await appendDecisions(path, [more]);
    assert.deepEqual(
      (await readDecisions(path)).map(({ id }) => id),
      [...kept.map(({ id }) => id), 'e'],
    );
  }
});

test('decisions of one id are told apart by all that they say, whatever is kept of them', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  const idsOf = async (lines: readonly object[]) => {
    writeFileSync(path, lines.map((line) => JSON.stringify(line)).join('\n'));
    return (await keepDecisions(path, ({ id, line }) => ({ id, line }))).map(({ id }) => id);
  };
  // Lines that reach over a window, and characters of several bytes.
  const long = { ...decisions[0], items: Array.from({ length: 200_000 }, (_, i) => `ü${i}.jpg`) };
  assert.deepEqual(await idsOf([long, ...decisions.slice(1), decisions[1], long]), ['a', 'b', 'c', 'd']);
  for (const other of [
    { ...decisions[1], items: ['y.jpg'] },
    { ...decisions[1], from: [4] },
  ]) {
    await assert.rejects(idsOf([long, ...decisions.slice(1), other]), {
      code: 'BAD_INPUT',
      message: /decisions\.jsonl: line 5: id 'b' is that of line 2/,
    });
  }
});

test('what was taken back does not count, and an undo can be taken back; the order of lines means nothing', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  const undo = (id: string, undoes: string): Decision => ({ id, time, kind: 'undo', undoes });
  const ids = async (lines: readonly Decision[]) => {
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return inForce(await readDecisions(path)).map(({ id }) => id);
  };
  assert.deepEqual(await ids(decisions), ['a', 'c']);
  assert.deepEqual(await ids(decisions.toReversed()), ['c', 'a']);
  assert.deepEqual(await ids([undo('e', 'd'), ...decisions]), ['a', 'b', 'c']);
  assert.deepEqual(await ids([...decisions, undo('e', 'd'), undo('f', 'd'), undo('g', 'e')]), ['a', 'b', 'c']);
  assert.deepEqual(await ids([...decisions, undo('e', 'nothing')]), ['a', 'c']);
  assert.deepEqual(await ids([...decisions, decisions[0]]), ['a', 'c']);
  // As many undos of undos as would exhaust the stack of a function that calls itself.
  const deep = Array.from({ length: 50_000 }, (_, i) => undo(`u${i}`, i === 0 ? 'a' : `u${i - 1}`));
  assert.deepEqual(await ids([decisions[0], ...deep.toReversed()]), ['a']);
  // As many undos of one decision as are too many arguments for a call.
  const wide = Array.from({ length: 150_000 }, (_, i) => undo(`u${i}`, 'a'));
  assert.deepEqual(await ids([...decisions, ...wide]), ['c']);
  // Two that take each other back say nothing of any other.
  assert.deepEqual(await ids([decisions[0], undo('p', 'q'), undo('q', 'p')]), ['a']);
});

test('what is no decision is refused by its line', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  const refused = async (line: unknown, message: RegExp) => {
    writeFileSync(path, `${JSON.stringify(decisions[0])}\n${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
    await assert.rejects(readDecisions(path), { code: 'BAD_INPUT', message });
  };
  await refused('{"id":', /decisions\.jsonl: line 2: is no JSON object/);
  await refused(
    { ...decisions[1], kind: 'maybe' },
    /line 2: kind: got "maybe", expected same, different, name or undo/,
  );
  await refused({ ...decisions[1], id: '' }, /line 2: id: got "", expected text/);
  await refused({ ...decisions[1], time: 'noon' }, /line 2: time: got "noon", expected a time of ISO 8601/);
  await refused({ ...decisions[1], from: undefined }, /line 2: items: got \["x.jpg"\], expected a list of 2 or more/);
  await refused({ ...decisions[1], from: [1.5] }, /line 2: from: got 1.5 in the list/);
  await refused({ ...decisions[2], name: 7 }, /line 2: name: got 7/);
  await refused({ ...decisions[3], undoes: undefined }, /line 2: undoes: got none/);
  await refused({ ...decisions[1], id: 'a' }, /line 2: id 'a' is that of line 1/);
  await assert.rejects(readDecisions(join(path, 'none')), { code: 'BAD_INPUT' });
  writeFileSync(path, '');
  assert.deepEqual(await readDecisions(path), []);
  appendFileSync(path, '\n \n');
  assert.deepEqual(await readDecisions(path), []);
});

test('a last line that no crash leaves is refused, and never cut off', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  const line = JSON.stringify(decisions[0]);
  const refused = async (bytes: string | Buffer, message: RegExp) => {
    writeFileSync(path, bytes);
    const before = readFileSync(path);
    await assert.rejects(readDecisions(path), { code: 'BAD_INPUT', message });
    await assert.rejects(appendDecisions(path, decisions.slice(0, 1)), { code: 'BAD_INPUT', message });
    assert.deepEqual(readFileSync(path), before);
  };
  const noObject = /decisions\.jsonl: (line 1|its last line): is no JSON object, got '.*', expected a decision/;
  await refused('what somebody noted, without a line break', noObject);
  await refused(Buffer.from(JSON.stringify(decisions[3]), 'utf16le'), noObject);
  await refused(`${line}\r${line}`, noObject);
  await refused('[1, 2', noObject);
  await refused(Buffer.from(`\ufeff${line}`, 'utf16le'), /its bytes are not utf-8: save the file as UTF-8/);
  await refused(Buffer.from([0x7b, 0xff, 0x41]), /its bytes are not utf-8/);
  await refused('{"kind": "same"}', /(line 1|its last line): id: got none/);
  // What a disk holds behind a line that a crash has torn, or in its place.
  for (const torn of [line.slice(0, 20), '']) {
    writeFileSync(path, Buffer.concat([Buffer.from(`${line}\n${torn}`), Buffer.alloc(100)]));
    const notices: string[] = [];
    assert.equal((await readDecisions(path, (notice) => notices.push(notice))).length, 1);
    assert.match(notices.join(), /line 2 is torn/);
    await appendDecisions(path, decisions.slice(1, 2));
    assert.deepEqual(
      (await readDecisions(path)).map(({ id }) => id),
      ['a', 'b'],
    );
  }
});

test('a name in another encoding than UTF-8 is refused rather than read as another name', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  writeFileSync(path, Buffer.from(`${JSON.stringify(decisions[0])}\n`, 'latin1'));
  await assert.rejects(readDecisions(path), {
    code: 'BAD_INPUT',
    message: /decisions\.jsonl: line 1: its bytes are not utf-8: save the file as UTF-8/,
  });
});

test('a last line longer than any decision is refused in bounded memory, and nothing is appended', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  writeFileSync(path, '');
  truncateSync(path, 2 ** 29);
  await assert.rejects(appendDecisions(path, decisions.slice(0, 1)), {
    code: 'BAD_INPUT',
    message: /its last line has more than 268435456 bytes, expected a decision/,
  });
  assert.equal(statSync(path).size, 2 ** 29);
});

test('a line of more lists, objects or members than any decision has is refused before they take memory', async (t) => {
  const path = join(temporaryFolder(t), 'decisions.jsonl');
  for (const part of ['{},', '[],', '{"a":0},']) {
    const list = part.repeat(2 ** 21);
    writeFileSync(path, `{"id":"a","time":"${time}","kind":"same","items":[${list}0]}\n`);
    await assert.rejects(readDecisions(path), { code: 'BAD_INPUT', message: /line 1: is no JSON object/ });
  }
});
