import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { fixtureInputs, type Inputs, labelFlags, randomInputs } from './inputs.js';
import { naan, start, temporaryFolder } from './naan.js';

const folder = temporaryFolder(after);
let inputs: Inputs;
before(async () => {
  const { model } = await fixtureInputs(folder, 'wide');
  inputs = await randomInputs(folder, model, 6000, 512);
});

const hops = ['--k-hops', '20', '10', '--sample-hops', '20'];

function tuneFlags(...more: string[]): string[] {
  const { features, knn, model } = inputs;
  return ['tune', '--features', features, '--knn', knn, '--model', model, ...hops, ...more];
}

test('the choice is written where it is looked for, explained, and what label takes', async () => {
  const { code, stdout, stderr } = await naan(tuneFlags('--budget', '4s', '--check'), { cwd: folder });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^threads +batch +shards +precision +runs +speed +than the defaults$/m);
  assert.match(stdout, /^\d+ +\d+ +\w+ +\w+ +\d+ +\d+\.\d\d +(faster )? +← chosen$/m);
  assert.match(stdout, /^\d+ runs of \d+ settings on [\d,]+ rows in /m);
  assert.match(
    stdout,
    /^(\d\.\d\d times as fast as the defaults, by \d+ rounds|Nothing that was timed is faster|Runs of one setting differ by more|The time ended before any)/m,
  );
  const percents = [...stderr.matchAll(/ tune +(\d+) %/g)].map(([, percent]) => Number(percent));
  assert.deepEqual(
    percents,
    percents.toSorted((a, b) => a - b),
  );
  assert.match(stdout, /^ {2}aggregate +\d+ %/m);
  assert.match(stdout, /^\d+ % of the time goes to one thing: /m);
  assert.match(
    stdout,
    /^6,000 rows should take .+ with the chosen setting(, .+ with the defaults)?\nit took .+ than predicted$/m,
  );
  assert.deepEqual(readdirSync(join(folder, 'config')).sort(), ['tuned.svg', 'tuned.yaml']);
  assert.match(readFileSync(join(folder, 'config/tuned.svg'), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);

  const settings = join(folder, 'config/tuned.yaml');
  const text = readFileSync(settings, 'utf8');
  assert.match(text, /^# The choice of \d+ settings that naan tune timed on \d{4}-\d\d-\d\d on .+\n/);
  const chosen = parse(text);
  assert.deepEqual(Object.keys(chosen), ['threads', 'batch', 'shards', 'precision']);
  const labelled = await naan([...labelFlags(inputs, join(folder, 'out')), ...hops, '--config', settings]);
  assert.equal(labelled.code, 0, labelled.stderr);
  const { engine, options, optionSources } = JSON.parse(readFileSync(join(folder, 'out/run.json'), 'utf8'));
  assert.equal(engine.threads, chosen.threads);
  assert.equal(options.batch, chosen.batch);
  assert.equal(optionSources.batch, `batch in ${settings}`);
});

test('--json tells of every setting that was tried, and of the machine', async () => {
  const out = join(folder, 'json.yaml');
  const { code, stdout, stderr } = await naan(tuneFlags('--budget', '2', '--out', out, '--json'));
  assert.equal(code, 0, stderr);
  const { nodes, trials, best, verdict, predicted, limits, stages, limitedBy } = JSON.parse(stdout);
  assert.equal(nodes, 6000);
  assert(trials.some((trial: object) => JSON.stringify(trial) === JSON.stringify(best)));
  assert.equal(verdict === 'faster', best.comparison === 'faster');
  assert(trials.every(({ runs, speed }: Record<string, number>) => runs > 0 && speed > 0));
  for (const rate of [predicted.best, predicted.defaults, limits.gemmGflops, limits.disk.readGBps]) assert(rate > 0);
  assert(Object.keys(stages).includes('score'));
  assert.equal(typeof limitedBy, 'string');
});

test('Ctrl-C leaves the settings of before as they are, and nothing beside them', async () => {
  const kept = join(folder, 'kept');
  mkdirSync(kept);
  writeFileSync(join(kept, 'tuned.yaml'), 'threads: 1\n');
  const { child, said, ended } = start(tuneFlags('--budget', '600', '--out', join(kept, 'tuned.yaml'), '--overwrite'));
  await said(/^\S+Z tune +\d+ %/m);
  child.kill('SIGINT');
  const { code, stdout } = await ended;
  assert.equal(code, 130);
  assert.equal(stdout, '');
  assert.deepEqual(readdirSync(kept), ['tuned.yaml']);
  assert.equal(readFileSync(join(kept, 'tuned.yaml'), 'utf8'), 'threads: 1\n');
});

for (const [what, flags, message] of [
  [
    'a budget that is no time',
    ['--budget', 'long'],
    /^naan tune: --budget: got 'long', expected seconds, 1 or more, or minutes as 2min\n$/,
  ],
  [
    'a graph with too few neighbours',
    ['--sample-hops', '30'],
    /^naan tune: \S+random_knn\.npy: the kNN graph has 20 neighbours a node, expected at least 30/,
  ],
  ['an output that cannot be written', ['--out', '/dev/null'], /^naan tune: \/dev\/null: cannot be written: /],
] as const) {
  test(`${what} is one line of error`, async () => {
    const { code, stderr, stdout } = await naan([...tuneFlags(), ...flags]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stdout, '');
  });
}
