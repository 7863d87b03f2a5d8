import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { itemsBeside, openItems, readItems } from '../../src/io/items.js';
import { writeLabelTable } from '../../src/io/label-table.js';
import { readLabels } from '../../src/io/labels.js';
import { itemsOfBoth, matchByItem } from '../../src/io/labels-by-item.js';
import { NamedRows } from '../../src/io/named-rows.js';
import { TextIndex, TextList } from '../../src/io/text-list.js';
import { python, temporaryFolder, without } from './python.js';

const names = ['a/1.jpg', 'é, "李".png', 'x;y\tz', '12', ' blank before', 'O"Neil'];

async function namesIn(file: string): Promise<string[]> {
  const items = await openItems(file);
  const list = await readItems(items);
  assert.equal(await items.count(), list.length);
  return Array.from({ length: list.length }, (_, i) => list.at(i));
}

test('every form that Python writes gives the same names', { skip: without('numpy') }, async (t) => {
  const folder = temporaryFolder(t);
  const script = `
import csv, json, sys
import numpy as np
folder, names = sys.argv[1], json.loads(sys.argv[2])
def text(name, lines, **how):
  with open(f'{folder}/{name}', 'w', newline='', **how) as f: f.write(lines)
def table(name, header, rows, **how):
  with open(f'{folder}/{name}', 'w', newline='') as f:
    writer = csv.writer(f, **how)
    if header: writer.writerow(header)
    writer.writerows(rows)
text('list.txt', ''.join(n + '\\n' for n in names))
text('windows.txt', '\\r\\n'.join(names), encoding='utf-8-sig')
text('utf16.txt', '\\n'.join(names), encoding='utf-16')
table('one.csv', ['path'], [[n] for n in names])
table('two.csv', ['label', 'item'], [[i, n] for i, n in enumerate(names)])
table('tabs.tsv', ['#Filename', 'n'], [[n, i] for i, n in enumerate(names)], delimiter='\\t')
table('all.csv', ['n', 'weird title'], [[i, n] for i, n in enumerate(names)], quoting=csv.QUOTE_ALL)
table('untitled.csv', None, [[i, n] for i, n in enumerate(names)])
text('strings.jsonl', ''.join(json.dumps(n) + '\\n' for n in names))
text('objects.jsonl', ''.join(json.dumps({'x': i, 'path': n}, ensure_ascii=i % 2 == 0) + '\\n' for i, n in enumerate(names)))
np.save(f'{folder}/text.npy', np.array(names))
np.savez(f'{folder}/archive.npz', embs=np.zeros((6, 2), 'f4'), paths=np.array(names))
np.savez_compressed(f'{folder}/bytes.npz', other=np.array([n.encode() for n in names]), embs=np.zeros((6, 2)))
`;
  python(script, folder, JSON.stringify(names));
  const files = ['list.txt', 'windows.txt', 'utf16.txt', 'one.csv', 'two.csv', 'tabs.tsv', 'all.csv:weird title'];
  files.push('untitled.csv:2', 'strings.jsonl', 'objects.jsonl', 'text.npy', 'archive.npz', 'bytes.npz:other');
  for (const file of files) assert.deepEqual(await namesIn(join(folder, file)), names, file);

  const beside = async (file: string) => (await itemsBeside(join(folder, file), 'features')) !== undefined;
  assert.deepEqual([await beside('archive.npz'), await beside('bytes.npz')], [true, false]);
});

test('ids beside features are names only where each row has its own, for else they are identities', async (t) => {
  const folder = temporaryFolder(t);
  const script = `
import sys
import numpy as np
x = np.zeros((3, 2), 'f4')
np.savez(sys.argv[1] + '/own.npz', embs=x, ids=np.array([7, 8, 9]))
np.savez(sys.argv[1] + '/shared.npz', embs=x, ids=np.array([7, 8, 7]))
np.savez(sys.argv[1] + '/pickled.npz', embs=x, items=np.array([{}, 1, 2], dtype=object))
`;
  python(script, folder);
  const items = await itemsBeside(join(folder, 'own.npz'), 'features');
  assert.equal((await readItems(items!)).at(2), '9');
  assert.equal(await itemsBeside(join(folder, 'shared.npz'), 'features'), undefined);
  assert.equal(await itemsBeside(join(folder, 'pickled.npz'), 'features'), undefined);
});

test('what cannot be names is refused with file and line', async (t) => {
  const path = join(temporaryFolder(t), 'items.txt');
  const cases: [text: string | Buffer, message: RegExp, column?: string][] = [
    ['a\n\nb\n', /items\.txt: line 2 is blank, expected one item a line/],
    ['item,n\na,1\n,2\n', /line 3: has no item/],
    ['item,n\na,1\n"b,2\nc,3\n', /line 3: a quote is not closed in it/],
    ['n,path\n1\n', /line 2: 1 columns, expected 2 as line 1 has/],
    ['path\na\nb,c\n', /line 3: 2 columns, expected 1 .*names with commas stand in quotes/],
    ['a,b\n1,2\n', /has no column 'c', found: 'a', 'b'/, ':c'],
    ['{"x": 1}\n', /line 1 has no field of a usual name/],
    ['{"path": "a"}\n{"path": null}\n', /line 2: has no item/],
    ['{"path": "a"}\nb\n', /line 2: is no JSON object/],
    [Buffer.from('caf\xe9\n', 'latin1'), /no known kind of file|not utf-8/i],
    ['', /is empty/],
  ];
  for (const [text, message, column = ''] of cases) {
    writeFileSync(path, text);
    const reading = openItems(path + column).then(readItems);
    await assert.rejects(reading, { code: 'BAD_INPUT', message }, JSON.stringify(String(text)));
  }
});

test('labels.csv gives back names and labels, line breaks in names included', async (t) => {
  const folder = temporaryFolder(t);
  const [list, table] = [join(folder, 'list.jsonl'), join(folder, 'labels.csv')];
  const odd = ['line\u2028separator', ...names, 'two\nlines', 'of\r\nWindows\n\r\n', '"', ' '];
  writeFileSync(list, odd.map((name) => JSON.stringify(name)).join('\n'));
  const labels = Int32Array.from(odd, (_, i) => (i % 4) - 1);
  const script = 'import csv, json, sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline="")))))';
  const trust = (row: number) => (labels[row] < 0 ? '' : '0.500000');
  for (const more of [undefined, trust]) {
    await writeLabelTable(table, await openItems(list), labels, more);
    assert.deepEqual(await namesIn(table), odd);
    assert.deepEqual((await readLabels(table)).codes, labels);
    const lines = odd.map((name, i) => [name, String(labels[i]), ...(more ? [more(i)] : [])]);
    assert.deepEqual(JSON.parse(python(script, table)), [['item', 'label', ...(more ? ['trust'] : [])], ...lines]);
    const rows = NamedRows.open(table, odd.length);
    assert.deepEqual(
      odd.map((_, i) => rows.at(i)),
      odd,
    );
    rows.close();
  }
});

test('labels are matched by name, in any order; names that occur again count once, or not with two labels', async (t) => {
  const folder = temporaryFolder(t);
  const paths = [join(folder, 'labels.csv'), join(folder, 'truth.csv')] as const;
  const match = async (labels: string, truth: string) => {
    writeFileSync(paths[0], `item,label\n${labels}`);
    writeFileSync(paths[1], `identity,path\n${truth}`);
    const items = (await itemsOfBoth(...paths))!;
    const [given, known] = [await readLabels(paths[0]), await readLabels(paths[1])];
    const found = await matchByItem({ labels: given, items: items[0] }, { labels: known, items: items[1] });
    return { ...found, truth: [...found.truth] };
  };
  const counts = { matched: 3, onlyInLabels: 0, onlyInTruth: 0, ambiguous: 0 };
  assert.deepEqual(await match('a,0\nb,0\nc,1\n', '9,c\n8,b\n7,a\n'), { truth: [7, 8, 9], ...counts });
  const some = await match('a,0\nb,0\nx,1\n', '9,c\n8,b\n7,a\n5,d\n');
  assert.deepEqual(some, { truth: [7, 8, -1], matched: 2, onlyInLabels: 1, onlyInTruth: 2, ambiguous: 0 });
  assert.deepEqual(await match('a,0\na,1\n', '9,a\n8,a\n'), { ...counts, truth: [9, 8], matched: 2 });
  const again = await match('a,0\na,0\nb,1\nb,2\nc,1\n', '9,c\n8,b\n7,a\n9,c\n6,c\n');
  assert.deepEqual(again, { truth: [7, -1, -1, -1, -1], matched: 3, onlyInLabels: 0, onlyInTruth: 0, ambiguous: 2 });
});

test('100,000 names are found again among each other', () => {
  const list = new TextList();
  for (let i = 0; i < 100_000; i++) list.add(`folder/${i % 317}/å${i}.jpg`);
  list.add('folder/5/å5.jpg');
  const index = new TextIndex(list);
  assert.deepEqual([...index.repeated], [100_000]);
  for (let i = 0; i < 100_000; i += 97) assert.equal(index.find(Buffer.from(`folder/${i % 317}/å${i}.jpg`)), i);
  assert.equal(index.find(Buffer.from('folder/5/å6.jpg')), -1);
  assert.equal(list.at(99_999), `folder/${99_999 % 317}/å99999.jpg`);
});
