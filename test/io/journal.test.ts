import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { Journal, readJournal } from '../../src/io/journal.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-journal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const entries = Array.from({ length: 6 }, (_, i) => ({ stage: 'embed', shard: i, text: 'x'.repeat(i * 3) }));

async function written(path: string): Promise<Buffer> {
  const journal = await Journal.create<object>(path, entries.slice(0, 1));
  await journal.append(entries.slice(1, 3));
  await journal.append(entries.slice(3));
  await journal.close();
  return readFileSync(path);
}

/** Numbers of entries that records hold. */
const wholeCounts = [0, 1, 3, 6];

test('a journal cut at any byte keeps the records before it', async () => {
  const path = join(folder, 'cut');
  const whole = await written(path);
  assert.deepEqual(readJournal(path), { state: 'whole', entries, end: whole.length });
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const { state, entries: found, end } = readJournal(path);
    assert.ok(wholeCounts.includes(found.length) && end <= length);
    assert.deepEqual(found, entries.slice(0, found.length));
    // Its first record is written before the file has its name.
    assert.equal(state, found.length > 0 ? 'whole' : length < 16 ? 'foreign' : 'damaged');
  }
});

test('what follows the last whole record does not count, and is gone when the journal is gone on with', async () => {
  const path = join(folder, 'tail');
  const whole = await written(path);
  const torn = Buffer.from(whole.subarray(16));
  torn[torn.length - 1] ^= 1;
  for (const tail of [Buffer.alloc(8), Buffer.alloc(5000), Buffer.from('text'), torn.subarray(0, 20)]) {
    writeFileSync(path, Buffer.concat([whole, tail]));
    const before = readJournal<object>(path);
    if (tail !== torn) assert.deepEqual(before, { state: 'whole', entries, end: whole.length });
    const journal = await Journal.create<object>(path, before.entries);
    await journal.append([{ later: true }]);
    await journal.close();
    assert.deepEqual(readJournal(path).entries, [...entries, { later: true }]);
  }
});

test('damage before the last record is told from a torn tail, at any byte', async () => {
  const path = join(folder, 'damaged');
  const whole = await written(path);
  const lastRecord = whole.lastIndexOf(Buffer.from([0x89, 0x6e, 0x6a, 0x1a]));
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(whole);
      bytes[at] ^= flip;
      writeFileSync(path, bytes);
      const { state, entries: found } = readJournal(path);
      assert.equal(state, at < lastRecord ? 'damaged' : 'whole');
      assert.deepEqual(found, entries.slice(0, found.length));
      if (at >= lastRecord) assert.equal(found.length, 3);
    }),
  );
});

test('whoever has an earlier journal of the same name open does not write to the new one', async () => {
  const path = join(folder, 'replaced');
  const earlier = await Journal.create<object>(path, entries.slice(0, 1));
  const later = await Journal.create<object>(path, entries.slice(0, 2));
  await earlier.append([{ lost: true }]);
  await earlier.close();
  await later.close();
  assert.deepEqual(readJournal(path).entries, entries.slice(0, 2));
});

test('other files of that name are told', () => {
  const path = join(folder, 'foreign');
  assert.deepEqual(readJournal(join(folder, 'none')), { state: 'none', entries: [], end: 0 });
  for (const text of ['', 'dear diary', '\0'.repeat(100)]) {
    writeFileSync(path, text);
    assert.equal(readJournal(path).state, 'foreign');
  }
  const body = Buffer.from(JSON.stringify({ naan: '0.1.0', identity: {} }));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(crc32(body), 4);
  writeFileSync(path, Buffer.concat([head, body, Buffer.from('torn')]));
  assert.equal(readJournal(path).state, 'older');
});
