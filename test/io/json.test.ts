import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { locateSource } from '../../src/io/feature-source.js';
import { openItems } from '../../src/io/items.js';
import { parseJson } from '../../src/io/json.js';
import { readLabels } from '../../src/io/labels.js';
import { temporaryFolder } from './python.js';

const nested = (levels: number, open = '[', close = ']') => `${open.repeat(levels)}1${close.repeat(levels)}`;

test('JSON of more levels or parts than anything needs is no JSON; brackets in text are none', () => {
  assert.deepEqual(parseJson(nested(3)), [[[1]]]);
  assert.ok(parseJson(nested(32, '[{"a":', '}]')));
  for (const levels of [33, 64]) assert.ok(parseJson(nested(levels)), `${levels} levels`);
  for (const text of [nested(65), nested(65, '{"a":', '}'), nested(33, '[{"a":', '}]'), nested(100_000)]) {
    assert.equal(parseJson(text), undefined, text.slice(0, 100));
  }
  const brackets = '[{'.repeat(100);
  assert.equal(parseJson(JSON.stringify(brackets)), brackets);
  assert.deepEqual(parseJson(JSON.stringify([`"${brackets}`, '\\'])), [`"${brackets}`, '\\']);
  const wide = (parts: number) => `[${Array(parts).fill('[]').join()}]`;
  assert.equal((parseJson(wide(1000)) as unknown[]).length, 1000);
  assert.equal(parseJson(wide(2 ** 21)), undefined);
});

test('a line of JSON Lines that nests without end is refused by its number: items, features, labels', async (t) => {
  const path = join(temporaryFolder(t), 'set.jsonl');
  const line = (more: string) => `{"path":"a.jpg","embedding":[1,0],"label":3,"more":${more}}\n`;
  const readers = [async () => (await openItems(path)).count(), () => locateSource(path), () => readLabels(path)];
  writeFileSync(path, line(nested(50)) + line('0'));
  for (const read of readers) await read();
  writeFileSync(path, line('0') + line(nested(10_000)));
  for (const read of readers) await assert.rejects(read(), { code: 'BAD_INPUT', message: /set\.jsonl: line 2/ });
});
