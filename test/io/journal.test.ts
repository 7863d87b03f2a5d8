import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Journal, readJournal } from '../../src/io/journal.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-journal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const entries = Array.from({ length: 6 }, (_, i) => ({ stage: 'embed', shard: i, text: 'x'.repeat(i * 3) }));

async function written(path: string): Promise<Buffer> {
  const { journal } = await Journal.open(path);
  await journal.append(entries.slice(0, 2));
  await journal.append(entries.slice(2));
  await journal.close();
  return readFileSync(path);
}

test('a journal cut or damaged at any byte keeps the records before it, and goes on from there', async () => {
  const path = join(folder, 'cut');
  const whole = await written(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.boolean(), async (at, damaged) => {
      const bytes = Buffer.from(whole);
      if (damaged) bytes[at] ^= 0x41;
      writeFileSync(path, damaged ? bytes : bytes.subarray(0, at));
      const before = readJournal(path).entries;
      assert.ok(before.length < entries.length);
      assert.deepEqual(before, entries.slice(0, before.length));

      const { journal, entries: found } = await Journal.open<object>(path);
      assert.deepEqual(found, before);
      await journal.append([{ later: true }]);
      await journal.close();
      assert.deepEqual(readJournal(path).entries, [...before, { later: true }]);
    }),
    { numRuns: 60 },
  );
});

test('a journal that is not there has no records', () => {
  assert.deepEqual(readJournal(join(folder, 'none')), { entries: [], end: 0 });
});
