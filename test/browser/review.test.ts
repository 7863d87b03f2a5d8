/** The review page in a real browser: what is decided is on the disk at once, and stays through reloads, windows and a killed server. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { inForce, readDecisions } from '../../src/io/decisions.js';
import { fixtureInputs, labelFlags } from '../cli/inputs.js';
import { naan, start, temporaryFolder } from '../cli/naan.js';
import { openBrowser, withoutChromium } from './chromium.js';

const folder = temporaryFolder(after);
const run = join(folder, 'run');
const images = join(folder, 'images');
const decisions = join(run, 'decisions.jsonl');
const hostile = '</script><img src=x onerror="document.title=\'taken\'">, "a"\nb';
// A grey image of one pixel.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==',
  'base64',
);
const hops = ['--k-hops', '10', '4', '--sample-hops', '8'];
let flags: string[];

before(async () => {
  const inputs = await fixtureInputs(folder);
  mkdirSync(images);
  const names = Array.from({ length: 165 }, (_, i) => (i === 0 ? hostile : i === 1 ? '../secret.png' : `${i}.png`));
  for (const name of names.slice(2)) writeFileSync(join(images, name), png);
  writeFileSync(join(folder, 'secret.png'), png);
  const lines = names.map((name) => `"${name.replaceAll('"', '""')}"\n`);
  writeFileSync(join(folder, 'items.csv'), `item\n${lines.join('')}`);
  flags = ['--items', join(folder, 'items.csv'), '--threshold', '0.6', ...hops];
  const labelled = await naan([...labelFlags(inputs, run), ...flags, '--trust', '--save-edges']);
  assert.equal(labelled.code, 0, labelled.stderr);
  flags = [...labelFlags(inputs, join(folder, 'again')), ...flags];
});

async function serve(more: readonly string[] = []) {
  const server = start(['review', run, ...more]);
  const [, url] = await server.said(/open (http:\S+)/);
  return { server, url };
}

/** Presses a key and waits until the page shows a state after the one before. */
async function press(page: Page, key: string): Promise<void> {
  const before = await page.getAttribute('body', 'data-version');
  await page.keyboard.press(key);
  await page.waitForSelector(`body:not([data-version="${before}"])`);
}

const kinds = async () => inForce(await readDecisions(decisions)).map(({ kind }) => kind);

test('clusters are judged by keys in two windows, and a killed server loses nothing', {
  skip: withoutChromium,
}, async (t) => {
  const first = await serve(['--images', images]);
  t.after(() => first.server.child.kill('SIGKILL'));
  const browser = await openBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(first.url);
  await page.waitForSelector('article');
  assert.match((await page.textContent('#state'))!, /^165 rows in \d+ clusters of .*; judged: 0, merges: 0$/);
  assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true);

  await press(page, 'a');
  assert.deepEqual(await kinds(), ['same']);
  await press(page, 'u');
  assert.deepEqual(await kinds(), []);
  await press(page, 'a');
  await page.keyboard.press('3');
  await page.waitForSelector('[data-list=splits][aria-current=true]');
  await page.waitForSelector('article:not(.judged) [aria-pressed=true]');
  await page.focus('article:not(.judged):has([aria-pressed=true])');
  await press(page, 's');
  assert.deepEqual(await kinds(), ['same', 'different']);
  const split = (await readDecisions(decisions)).at(-1)!;
  assert.ok(split.kind === 'different' && split.items.length === 1 && split.from!.length >= 1);

  const other = await browser.newPage();
  await other.goto(first.url);
  await other.waitForSelector('article.judged');
  await other.keyboard.press('2');
  await other.waitForSelector('article .sides section + section');
  await other.focus('article:not(:has-text("rows split off"))');
  await press(other, 'm');
  assert.deepEqual(await kinds(), ['same', 'different', 'same']);
  await page.reload();
  await page.waitForSelector('#state:has-text(", merges: 1")');
  assert.match((await page.textContent('#state'))!, /; judged: 2,/);

  assert.equal(await page.title(), 'naan review');

  first.server.child.kill('SIGKILL');
  await first.server.ended;
  writeFileSync(decisions, `${readFileSync(decisions, 'utf8')}{"id":"torn`);
  await page.keyboard.press('j');
  await page.keyboard.press('n');
  const second = await serve();
  t.after(() => second.server.child.kill('SIGKILL'));
  await second.server.said(/line \d+ is torn/);
  const names = await browser.newPage();
  await names.goto(second.url);
  await names.waitForSelector('article.judged');
  assert.match((await names.textContent('#state'))!, /; judged: 2, merges: 1$/);
  assert.equal(await names.$$eval('img', (all) => all.length), 0, 'names where there are no images');
  await names.focus('article.judged:has-text("accepted")');
  await names.keyboard.press('n');
  await names.fill('#name', 'Ada');
  await names.keyboard.press('Enter');
  await names.waitForSelector('#message:has-text("named")');
  assert.deepEqual(await kinds(), ['same', 'different', 'same', 'name']);
  assert.deepEqual(problems, []);

  const labelled = await naan([...flags, '--constraints', decisions]);
  assert.equal(labelled.code, 0, labelled.stderr);
  assert.match(readFileSync(join(folder, 'again', 'names.csv'), 'utf8'), /,Ada\n$/);
});

test('the server answers this machine alone, by its token, and gives no file from outside', async (t) => {
  const { server, url } = await serve(['--images', images, '--decisions', join(folder, 'others.jsonl')]);
  t.after(() => server.child.kill('SIGKILL'));
  const status = (address: string, headers: Record<string, string> = {}) =>
    new Promise<number>((done, fail) => {
      get(address, { headers }, (response) => {
        response.resume();
        done(response.statusCode!);
      }).on('error', fail);
    });
  assert.equal(await status(url), 200);
  assert.equal(await status(new URL('/', url).href), 403);
  assert.equal(await status(`${url.slice(0, -2)}/`), 403);
  assert.equal(await status(url, { host: 'evil.example' }), 403);
  assert.equal(await status(`${url}image/2`), 200);
  assert.equal(await status(`${url}image/1`), 404, '../secret.png');
  assert.equal(await status(`${url}image/0`), 404);
  assert.equal(await status(`${url}../../package.json`), 403);
  const body = JSON.stringify({ action: 'accept', cluster: 0 });
  const post = (headers: Record<string, string>) => fetch(`${url}decide`, { method: 'POST', body, headers });
  assert.equal((await post({ 'content-type': 'application/json', origin: 'http://evil.example' })).status, 403);
  assert.equal((await post({ 'content-type': 'text/plain', origin: new URL(url).origin })).status, 403);
  const accepted = await post({ 'content-type': 'application/json', origin: new URL(url).origin });
  assert.equal(accepted.status, 200);
  const again = await post({ 'content-type': 'application/json', origin: new URL(url).origin });
  assert.equal(again.status, 409);
  const [decision] = await readDecisions(join(folder, 'others.jsonl'));
  assert.ok(decision.kind === 'same' && decision.items[0] === hostile, 'a name with quotes and a line break');

  const twice = await naan(['review', run, '--decisions', join(folder, 'others.jsonl')]);
  assert.equal(twice.code, 2);
  assert.match(twice.stderr, /others\.jsonl\.lock: /);

  // Two decisions of one id that differ in their items alone.
  const ofOneId = ['1.png', '2.png'].map((item) => ({ ...decision, items: [hostile, item], line: undefined }));
  writeFileSync(join(folder, 'twice.jsonl'), ofOneId.map((one) => `${JSON.stringify(one)}\n`).join(''));
  const differing = await naan(['review', run, '--decisions', join(folder, 'twice.jsonl')]);
  assert.equal(differing.code, 2);
  assert.match(differing.stderr, /twice\.jsonl: line 2: id '.*' is that of line 1/);
});
