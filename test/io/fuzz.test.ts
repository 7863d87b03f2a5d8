/** The short form of bench/fuzz.ts: some hundred damaged files for each reader. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { emptyTally, type Finding, stopped, tryCases } from '../../bench/fuzz/cases.js';
import { makeReaders } from '../../bench/fuzz/readers.js';
import { temporaryFolder } from './python.js';

test('damaged and hostile files of each kind end in an answer or in one line, soon and in little memory', async (t) => {
  const folder = temporaryFolder(t);
  for (const reader of await makeReaders(join(folder, 'seeds'))) {
    const tally = emptyTally();
    const findings: Finding[] = [];
    for (const seed of reader.seeds) assert.ok(seed.whole.length > 0);
    await tryCases(reader, { seed: 1, from: 0, to: 250, folder: join(folder, 'case') }, tally, (one) =>
      findings.push(one),
    );
    // The library for Parquet goes through what some pages claim for ever: the bench counts how often.
    const others = findings.filter(({ what }) => what !== stopped || reader.name !== 'parquet');
    assert.deepEqual(others, [], reader.name);
    assert.equal(tally.tried, 250);
    // Both kinds of endings occur, or the damage would not reach what the reader looks at.
    assert.ok(tally.refused > 25 && tally.read > 0, `${reader.name}: ${JSON.stringify(tally)}`);
  }
});

test('whole seeds are read', async (t) => {
  const folder = temporaryFolder(t);
  for (const { name, fileName, seeds } of await makeReaders(join(folder, 'seeds'))) {
    for (const { whole, read } of seeds) {
      writeFileSync(join(folder, fileName), whole);
      await assert.doesNotReject(read(join(folder, fileName)), name);
    }
  }
});
