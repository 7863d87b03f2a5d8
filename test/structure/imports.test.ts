/** Rooms of the source import downwards only, as docs/architecture.md says, and no files import each other in a circle. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';

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
    from: { path: `^dist/src/${room}/` },
    to: { path: `^dist/(src/(${above})|workers)/` },
  };
});
const circle: IForbiddenRuleType = {
  name: 'no circle',
  severity: 'error',
  from: {},
  to: { circular: true },
};

test('imports of the compiled source go downwards, without circles', async () => {
  const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !rooms.includes(name)),
    [],
    'each room has its place in the order',
  );
  const ruleSet = { forbidden: [...downwards, circle] };
  // Compiled files whose source is gone may still lie about.
  const compiled = ['src', 'workers'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.includes('assembly'))
      .map((name) => `dist/${folder}/${name.replace(/ts$/, 'js')}`),
  );
  const { output } = await cruise(compiled, { validate: true, ruleSet, doNotFollow: 'node_modules' });
  const { summary, modules } = output as ICruiseResult;
  assert.ok(modules.length > 200, `${modules.length} modules`);
  assert.deepEqual(
    summary.violations.map(({ rule, from, to, cycle }) => [
      rule.name,
      from,
      to,
      ...(cycle ?? []).map(({ name }) => name),
    ]),
    [],
  );
});
