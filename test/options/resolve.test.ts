import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { resolve } from '../../src/options/resolve.js';

const folder = mkdtempSync(join(tmpdir(), 'naan-options-'));
after(() => rmSync(folder, { recursive: true }));

const required = { features: 'F', knn: 'K', model: 'M', out: 'O' };

function configFile(content: string): string {
  const path = join(folder, 'naan.yaml');
  writeFileSync(path, content);
  return path;
}

function label(given: { flags?: object; environment?: Record<string, string>; yaml?: string }) {
  const config = given.yaml === undefined ? {} : { config: configFile(given.yaml) };
  return resolve('label', { flags: { ...required, ...config, ...given.flags }, environment: given.environment ?? {} });
}

const refused = (message: RegExp) => ({ name: 'NaanError', code: 'BAD_USAGE', message });

test('each layer wins over the one below, and the origin is remembered', async () => {
  const yaml = 'max-size: 10';
  const environment = { NAAN_MAX_SIZE: '20' };
  const layers = [
    { given: {}, value: 600, origin: /^default$/ },
    { given: { yaml }, value: 10, origin: /^max-size in .*naan\.yaml$/ },
    { given: { yaml, environment }, value: 20, origin: /^NAAN_MAX_SIZE$/ },
    { given: { yaml, environment, flags: { maxSize: '30' } }, value: 30, origin: /^--max-size$/ },
  ];
  for (const { given, value, origin } of layers) {
    const { values, origins } = await label(given);
    assert.equal(values.maxSize, value);
    assert.match(origins.maxSize, origin);
  }
});

test('the result is frozen and has no key for what nobody gave', async () => {
  const { values } = await label({});
  assert.ok(Object.isFrozen(values));
  assert.ok(!('threads' in values));
  assert.equal(values.backend, 'auto');
});

test('the config file can be named by the environment, and a flag for it wins', async () => {
  const config = configFile('step: 0.25');
  assert.equal((await label({ environment: { NAAN_CONFIG: config } })).values.step, 0.25);
  const elsewhere = label({ environment: { NAAN_CONFIG: config }, flags: { config: join(folder, 'none.yaml') } });
  await assert.rejects(elsewhere, refused(/none\.yaml: no such file or directory/));
});

test('text and YAML values mean the same', async () => {
  const { values: yaml } = await label({
    yaml: 'k-hops: [7, 3]\nsave-edges: true\nshards: auto\nthreshold: 0.5\nmax-size: 9',
  });
  const environment = {
    NAAN_K_HOPS: '7,3',
    NAAN_SAVE_EDGES: 'yes',
    NAAN_SHARDS: 'auto',
    NAAN_THRESHOLD: '.5',
    NAAN_MAX_SIZE: '9',
  };
  const { values: text } = await label({ environment });
  const { config: _, ...fromYaml } = yaml;
  assert.deepEqual(fromYaml, text);
  assert.deepEqual((await label({ flags: { kHops: ['7', '3'] } })).values.kHops, [7, 3]);
  assert.deepEqual((await label({ flags: { devices: ['0,1', '3'] } })).values.devices, [0, 1, 3]);
  assert.deepEqual((await label({ yaml: 'devices: 2' })).values.devices, [2]);
});

test('options of other commands may stand in a shared file or environment', async () => {
  const { values } = await label({ yaml: 'ids: 5\nseed: 2', environment: { NAAN_CLEAN_OUT: 'x' } });
  assert.ok(!('ids' in values) && !('cleanOut' in values));
});

test('an unknown name is refused with a suggestion', async () => {
  await assert.rejects(
    label({ yaml: 'maxSize: 3' }),
    refused(/naan\.yaml: 'maxSize' is not an option \(did you mean max-size\?\)/),
  );
  await assert.rejects(label({ yaml: 'zzzzzzzzzzzz: 3' }), refused(/'zzzzzzzzzzzz' is not an option$/));
  await assert.rejects(label({ yaml: 'config: other.yaml' }), refused(/'config' is not an option/));
});

test('a variable that is no option is told of and left alone', async () => {
  const { notices } = await label({ environment: { NAAN_THREAD: '3', NAAN_SERVICE_HOST: '10.0.0.1' } });
  assert.match(notices[0], /NAAN_THREAD is not an option \(did you mean NAAN_THREADS\?\): not used/);
  assert.match(notices[1], /NAAN_SERVICE_HOST is not an option/);
});

test('a value of the wrong kind is refused: source, got, expected', async () => {
  const cases: [Parameters<typeof label>[0], RegExp][] = [
    [{ flags: { threads: '12abc' } }, /^--threads: got '12abc', expected an integer from 1 to \d+$/],
    [{ environment: { NAAN_THREADS: '12abc' } }, /^NAAN_THREADS: got '12abc'/],
    [{ yaml: 'threads: 12abc' }, /^threads in .*naan\.yaml: got '12abc'/],
    [{ flags: { threads: '' } }, /got ''/],
    [{ flags: { threads: '1.5' } }, /got '1.5'/],
    [{ flags: { threads: '0x10' } }, /got '0x10'/],
    [{ flags: { threads: '0' } }, /got '0'/],
    [{ flags: { threads: 'NaN' } }, /got 'NaN'/],
    [{ flags: { threshold: '1.01' } }, /expected a number from 0 to 1/],
    [{ flags: { threshold: 'Infinity' } }, /got 'Infinity'/],
    [{ yaml: 'threshold: .inf' }, /got 'Infinity'/],
    [{ yaml: 'threads:' }, /got 'null'/],
    [{ flags: { kHops: ['20'] } }, /^--k-hops: got '20', expected two integers/],
    [{ flags: { kHops: ['20', '10', '5'] } }, /got '20 10 5'/],
    [{ yaml: 'k-hops: [20, x]' }, /got '20 x'/],
    [{ flags: { backend: 'cuda' } }, /^--backend: got 'cuda', expected auto, native, .*reference$/],
    [{ environment: { NAAN_SAVE_EDGES: 'maybe' } }, /got 'maybe', expected yes or no/],
    [{ flags: { out: '' } }, /^--out: got '', expected the path of a folder$/],
  ];
  for (const [given, message] of cases) await assert.rejects(label(given), refused(message), JSON.stringify(given));
});

test('numbers are read exactly or not at all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.nat().map(String), fc.string()), async (text) => {
      const outcome = await label({ flags: { maxSize: text } }).then(
        ({ values }) => values.maxSize,
        () => undefined,
      );
      const integer =
        /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isSafeInteger(Number(text)) && Number(text) >= 1;
      assert.equal(outcome, integer ? Number(text) : undefined);
    }),
    { numRuns: 300 },
  );
});

test('a missing required option says how to give it', async () => {
  const without = resolve('label', { flags: { features: 'F' }, environment: {} });
  await assert.rejects(without, refused(/^--out \(or NAAN_OUT\) is missing: folder to write to/));
});

test('a config file that is no list of options is refused in one line', async () => {
  for (const yaml of ['- a\n- b', 'just words', 'threads: [1', 'threads: 1\nthreads: 2', '\t: {']) {
    await assert.rejects(label({ yaml }), (error: Error) => {
      assert.match(error.message, /^config file .*naan\.yaml: /);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  }
  assert.equal((await label({ yaml: '# nothing yet' })).values.maxSize, 600);
});
