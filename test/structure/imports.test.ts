/** Rooms of the source import downwards only, as docs/architecture.md says, and no files import each other in a circle. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cruise, type ICruiseOptions, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';
import { temporaryFolder } from '../io/python.js';

/** From the lowest. What stands in `src` itself may be imported by all; `index.ts` imports from all. */
const rooms = [
  'kernels',
  'graph',
  'memory',
  'execution',
  'io',
  'cluster',
  'model',
  'backends',
  'devices',
  'evaluation',
  'engine',
  'heads',
  'machines',
  'knn',
  'machine',
  'training',
  'datasets',
  'extraction',
  'report',
  'jobs',
  'metrics',
  'tuning',
  'options',
  'cli',
];

const downwards = rooms.slice(0, -1).map((room, i): IForbiddenRuleType => {
  const above = rooms.slice(i + 1).join('|');
  return {
    name: `${room} knows nothing of rooms above it`,
    severity: 'error',
    from: { path: `^(dist/)?src/${room}/` },
    to: { path: `^(dist/)?(src/(${above})|workers)/` },
  };
});
const openToAll: IForbiddenRuleType = {
  name: 'files that all may import import nothing of a room',
  severity: 'error',
  from: { path: '^(dist/)?src/[^/]+$', pathNot: '/(index|api)\\.js$' },
  to: { path: '^(dist/)?src/[^/]+/' },
};
const circle: IForbiddenRuleType = {
  name: 'no circle',
  severity: 'error',
  from: {},
  to: { circular: true },
};

// Compiled files whose source is gone may still lie about.
const sources = ['src', 'workers'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.includes('assembly'))
    .map((name) => join(folder, name)),
);
const compiled = sources.map((name) => join('dist', name.replace(/ts$/, 'js')));

/** The imports among some files that break one of the rules. */
async function violations(
  files: string[],
  forbidden: IForbiddenRuleType[],
  options?: ICruiseOptions,
): Promise<string[][]> {
  const { output } = await cruise(files, {
    validate: true,
    ruleSet: { forbidden },
    doNotFollow: 'node_modules',
    ...options,
  });
  const { summary, modules } = output as ICruiseResult;
  assert.ok(modules.length > 200, `${modules.length} modules`);
  return summary.violations.map(({ rule, from, to, cycle }) => [
    rule.name,
    from,
    to,
    ...(cycle ?? []).map(({ name }) => name),
  ]);
}

test('docs/architecture.md shows the rooms in the order of imports', () => {
  const table = [...readFileSync('docs/architecture.md', 'utf8').matchAll(/^\| `(\w+)\/` \|/gm)].map(
    ([, room]) => room,
  );
  assert.deepEqual(table, rooms.toReversed());
});

test('imports of the compiled source go downwards, without circles', async () => {
  const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !rooms.includes(name)),
    [],
    'each room has its place in the order',
  );
  assert.deepEqual(await violations(compiled, [...downwards, openToAll, circle]), []);
});

// Types are gone from what is compiled, so this reads a file of the bare imports in place of each file of the source.
test('imports of types go downwards too', async (t) => {
  const folder = temporaryFolder(t);
  for (const name of sources) {
    const file = join(folder, name.replace(/ts$/, 'js'));
    const imports = readFileSync(name, 'utf8').matchAll(/\b(?:from|import\()\s*('\.[^']+')/g);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, [...imports].map(([, path]) => `import ${path};\n`).join(''));
  }
  const files = sources.map((name) => name.replace(/ts$/, 'js'));
  assert.deepEqual(await violations(files, [...downwards, openToAll], { baseDir: folder }), []);
});
