/** The report as a browser shows it: its numbers are those of the run, it loads nothing, and names in it stay text. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { fixtureInputs, type Inputs, labelFlags } from '../cli/inputs.js';
import { naan, temporaryFolder } from '../cli/naan.js';
import { openBrowser, withoutChromium } from './chromium.js';

const folder = temporaryFolder(after);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
const hostile = '</script><img src=x onerror="document.title=\'taken\'">';
// A grey image of one pixel.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==',
  'base64',
);
const run = join(folder, 'run');
const images = join(folder, 'images');
let inputs: Inputs;

before(async () => {
  inputs = await fixtureInputs(folder);
  mkdirSync(images);
  const names = Array.from({ length: 165 }, (_, i) => (i === 0 ? hostile : `${i}.png`));
  const truth = readFileSync(inputs.truth, 'utf8').trim().split('\n');
  for (const name of names.slice(1, 100)) writeFileSync(join(images, name), png);
  writeFileSync(join(folder, 'secret.png'), png);
  names[164] = '../secret.png';
  const field = (name: string) => `"${name.replaceAll('"', '""')}"`;
  writeFileSync(join(folder, 'items.csv'), `item\n${names.map((name) => `${field(name)}\n`).join('')}`);
  const lines = names.map((name, i) => `${field(name)},${truth[i]}\n`).reverse();
  writeFileSync(join(folder, 'truth.csv'), `item,label\n${lines.join('')}`);
  const flags = ['--items', join(folder, 'items.csv'), '--threshold', '0.6', '--report', '--images', images];
  const labelled = await naan([...labelFlags(inputs, run), ...hops, ...flags, '--save-edges']);
  assert.equal(labelled.code, 0, labelled.stderr);
});

test('the report of a run says in Chromium what the run and evaluate say', { skip: withoutChromium }, async (t) => {
  const truth = join(folder, 'truth.csv');
  const page = join(folder, 'with truth.html');
  const reported = await naan(['report', run, '--truth', truth, '--images', images, '--out', page, '--json']);
  assert.equal(reported.code, 0, reported.stderr);
  assert.ok(JSON.parse(reported.stdout).thumbnails > 0, 'sharp is a development dependency');
  const evaluated = await naan(['evaluate', '--labels', join(run, 'labels.csv'), '--truth', truth, '--json']);
  const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));

  const browser = await openBrowser();
  t.after(() => browser.close());
  for (const file of [page, join(run, 'report.html')]) {
    const tab = await browser.newPage({ viewport: { width: 390, height: 800 } });
    const requests: string[] = [];
    const problems: string[] = [];
    tab.on('request', (request) => requests.push(request.url().slice(0, 5)));
    tab.on('pageerror', (error) => problems.push(String(error)));
    tab.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await tab.goto(pathToFileURL(file).href);
    const facts = new Map(
      await tab.$$eval('.facts div', (all) =>
        all.map((one) => [one.children[0].textContent, one.children[1].textContent] as const),
      ),
    );
    assert.equal(facts.get('rows'), '165');
    assert.equal(facts.get('clusters'), String(record.clusters));
    assert.equal(facts.get('clusters of one row'), String(record.singletons));
    assert.equal(facts.get('largest cluster'), String(record.largest));
    assert.equal(facts.get('threshold, given'), '0.600');
    assert.deepEqual(
      requests.filter((url) => url !== 'data:'),
      ['file:'],
      'nothing but the page is loaded',
    );
    assert.deepEqual(problems, []);
    assert.match(await tab.title(), /^naan label: /);
    assert.ok((await tab.textContent('main'))!.includes(hostile));
    assert.equal(await tab.$$eval('canvas', (all) => all.length), 4);
    assert.equal(await tab.evaluate('document.documentElement.scrollWidth <= innerWidth'), true);
    if (file !== page) continue;
    const figures = await tab.$$eval('main section:first-of-type td', (all) => all.map((one) => one.textContent));
    const { bcubed } = JSON.parse(evaluated.stdout).all;
    assert.deepEqual(
      figures.slice(0, 3),
      [bcubed.precision, bcubed.recall, bcubed.f].map((x: number) => x.toFixed(4)),
    );
    const sources = await tab.$$eval('.cluster a', (all) => all.map((one) => one.getAttribute('href') ?? ''));
    assert.ok(sources.length > 0);
    assert.ok(
      sources.every((source) => source.startsWith(pathToFileURL(images).href)),
      'none outside of the folder',
    );
  }
});

test('a report replaces its own page, and nothing else', async () => {
  assert.equal((await naan(['report', run])).code, 0);
  const other = join(folder, 'mine.html');
  writeFileSync(other, 'mine');
  const refused = await naan(['report', run, '--out', other]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /mine\.html: is there already and naan did not make it/);
  const none = await naan(['report', folder]);
  assert.match(none.stderr, /has no run\.json of naan label/);
  assert.equal(none.code, 2);
});

test('a table of clusters that is of other labels, or is none, is refused', async () => {
  const table = join(run, 'clusters.csv');
  const whole = readFileSync(table, 'utf8');
  writeFileSync(table, whole.replace('\n0,', '\n0,1'));
  assert.match((await naan(['report', run])).stderr, /clusters\.csv: is of other labels than/);
  writeFileSync(table, whole.replace('\n0,', '\nzero,'));
  assert.match((await naan(['report', run])).stderr, /clusters\.csv: line 2: is no line of a table of clusters/);
  writeFileSync(table, whole);
});
