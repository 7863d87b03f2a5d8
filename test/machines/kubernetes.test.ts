/** Templates for Kubernetes: naan takes what they give it, and their Redis is set as the one that was tried. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { flagName } from '../../src/options/names.js';
import { type CommandName, commands, commonOptions } from '../../src/options/table.js';

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string }[];
}

interface Manifest {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly completions?: number;
    readonly parallelism?: number;
    readonly template?: { readonly spec: { readonly containers: readonly Container[] } };
  };
}

const folder = 'config/kubernetes';
const manifests = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(`${folder}/${file}`, 'utf8')).map((document) => document.toJS() as Manifest),
);

test('commands in templates for Kubernetes have only flags that there are', () => {
  const containers = manifests.flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
  const given = containers.filter(({ name }) => name === 'naan').map(({ args }) => args);
  assert.deepEqual(given.map(([command]) => command).sort(), ['knn', 'label', 'worker']);
  for (const [command, ...flags] of given) {
    const options = { ...commands[command as CommandName].options, ...commonOptions };
    const known = Object.keys(options).map((name) => flagName(name));
    assert.deepEqual(
      flags.map((flag) => flag.split('=')[0]).filter((flag) => !known.includes(flag)),
      [],
    );
  }
});

test('an indexed job runs as many ranks at once as each is told, and tells each its own', () => {
  const [{ spec }] = manifests.filter((manifest) => manifest.spec?.completions !== undefined);
  const [{ args, env = [] }] = spec?.template?.spec.containers ?? [];
  assert.deepEqual([spec?.parallelism, `--ranks=${spec?.completions}`], [spec?.completions, args[2]]);
  assert.deepEqual(
    env.map(({ name }) => name),
    ['NAAN_RANK'],
  );
});

test('the Redis in Kubernetes is set as that of config/redis', () => {
  const settings = (text: string) => text.split('\n').filter((line) => line !== '' && !/^(#|bind )/.test(line));
  const [{ data }] = manifests.filter(({ kind }) => kind === 'ConfigMap');
  assert.deepEqual(settings(data?.['naan.conf'] ?? ''), settings(readFileSync('config/redis/naan.conf', 'utf8')));
});
