import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { csvField } from '../../src/io/label-table.js';
import { sampleRecords } from '../../src/io/text-records.js';

const character = fc.constantFrom('"', ',', ';', '\t', ' ', 'a', 'é', '\n');
const text = fc.array(character, { maxLength: 8 }).map((all) => all.join(''));

test('the fields of records are what was written, quoted where they must be or everywhere', () => {
  const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;
  const records = fc.array(fc.array(text, { minLength: 2, maxLength: 5 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      records,
      fc.constantFrom(',', ';', '\t'),
      fc.constantFrom(csvField, quoted),
      (rows, delimiter, field) => {
        const lines = rows.map((row) => row.map(field).join(delimiter)).join('\n');
        assert.deepEqual(sampleRecords(lines.split('\n'), delimiter), rows);
      },
    ),
    { numRuns: 2000 },
  );
});

test('fields with quotes that do not close where they should stay as they are', () => {
  for (const [line, fields] of [
    ['"a"b,c', ['"a"b', 'c']],
    [' "a,b" ,c', ['a,b', 'c']],
    ['a"b,c"', ['a"b', 'c"']],
    ['"a",', ['a', '']],
    ['"",""""', ['', '"']],
  ] as const) {
    assert.deepEqual(sampleRecords([line], ','), [fields], line);
  }
});
