/** No panel of the dashboard is empty on the runs that its row is for: every query is put to Prometheus over what such runs left. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeModel } from '../../src/model/model-file.js';
import { fixtureInputs, labelFlags } from '../cli/inputs.js';
import { naan, temporaryFolder } from '../cli/naan.js';
import { randomPairwise } from '../engine/fixture.js';
import { redisServer, withoutRedis } from '../machines/redis-server.js';
import { smallFlags, smallSet } from '../machines/small-set.js';

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const folder = temporaryFolder(after);
const { panels } = JSON.parse(readFileSync('config/grafana/naan-run.json', 'utf8')) as { panels: Panel[] };

/** The queries of rows whose titles match, for one instance. */
function queriesOf(rows: RegExp): { title: string; expr: string }[] {
  let row = '';
  return panels.flatMap(({ type, title, targets = [] }) => {
    if (type === 'row') row = title;
    if (!rows.test(row)) return [];
    return targets.map(({ expr }) => ({
      title,
      expr: expr.replaceAll('$instance', 'a').replaceAll('$__rate_interval', '1m'),
    }));
  });
}

/** Samples of a metrics file as series of 20 samples which rise, as those of a run do. */
function seriesOf(metrics: string): string {
  const series = metrics.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^(naan_\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || value === 'Nan') return [];
    const all = [...(labels ? [labels] : []), 'instance="a"'].join(', ');
    return [`      - series: '${name}{${all}}'\n        values: '${Number(value)}+1x20'`];
  });
  return series.join('\n');
}

const everyRun = /^Every run/;
const hops = ['--k-hops', '4', '3', '--sample-hops', '4', '--threads', '1'];

test('every query of a row gives data on the runs that it is for', async (t) => {
  if (spawnSync('promtool', ['--version']).error)
    return t.skip('promtool (Debian package prometheus) is not installed');
  const inputs = await fixtureInputs(folder);
  const model = join(folder, 'pairwise.safetensors');
  await writeModel(model, randomPairwise(4, 1));
  const { features, knn, truth } = inputs;
  const train = ['train', '--features', features, '--labels', truth, '--knn', knn];
  const trainedFor = /^(Every run|Training)/;
  const labelledFor = /^(Every run|Labelling)/;
  const runs: readonly (readonly [name: string, rows: RegExp, args: readonly string[]])[] = [
    ['label, concat', labelledFor, [...labelFlags(inputs, join(folder, 'concat')), ...hops]],
    ['label, pairwise', labelledFor, [...labelFlags({ ...inputs, model }, join(folder, 'pairwise')), '--threads', '1']],
    ['knn', everyRun, ['knn', '--features', features, '--k', '5', '--out', join(folder, 'found.npy')]],
    ['train, pairwise', trainedFor, [...train, '--out', join(folder, 'p', 'm.safetensors')]],
    [
      'train, concat',
      trainedFor,
      [...train, '--head', 'concat', ...hops, '--epochs', '1', '--out', join(folder, 'c', 'm.safetensors')],
    ],
  ];
  for (const [name, rows, args] of runs) {
    const queries = queriesOf(rows);
    assert(queries.length > 8, name);
    checkQueries(name, queries, await metricsOf(name, args));
  }
});

test('so do those of a run that workers share', async (t) => {
  if (spawnSync('promtool', ['--version']).error)
    return t.skip('promtool (Debian package prometheus) is not installed');
  if (withoutRedis) return t.skip(withoutRedis);
  const { address } = await redisServer(t);
  const set = await smallSet(folder, 'pairwise');
  const to = ['--out', join(folder, 'shared'), '--work-dir', join(folder, 'work'), '--cluster', address];
  const [worker, coordinator] = await Promise.all([
    metricsOf('worker', ['worker', '--cluster', address, '--threads', '1', '--runs', '1']),
    metricsOf('coordinator', [...smallFlags(set, 'pairwise'), ...to]),
  ]);
  checkQueries('worker', queriesOf(/^Shared runs: workers/), worker);
  checkQueries('coordinator', queriesOf(/^(Every run|Shared runs: coordinator)/), coordinator);
  const sums = (metrics: string, name: string) =>
    metrics.split('\n').flatMap((line) => (line.startsWith(`${name}{`) ? [line.slice(name.length)] : []));
  assert.equal(sums(worker, 'naan_tasks_total').length, 3, worker);
  for (const [own, all] of [
    ['naan_tasks_total', 'naan_cluster_tasks_total'],
    ['naan_task_seconds_total', 'naan_cluster_task_seconds_total'],
    ['naan_task_written_bytes_total', 'naan_cluster_written_bytes_total'],
  ]) {
    assert.deepEqual(
      sums(coordinator, all),
      sums(worker, own),
      'the only worker did all that the coordinator heard of',
    );
  }
  assert.match(worker, /^naan_build_info\{.*command="worker"/m);
  assert.match(worker, /^naan_run_success 1$/m);
});

/** What a run left in its metrics file. */
async function metricsOf(name: string, args: readonly string[]): Promise<string> {
  const file = join(folder, `${name}.prom`);
  const { code, stderr } = await naan([...args, '--metrics-file', file]);
  assert.equal(code, 0, `${name}: ${stderr}`);
  return readFileSync(file, 'utf8');
}

/** Puts queries to Prometheus over a run's metrics. */
function checkQueries(name: string, queries: ReturnType<typeof queriesOf>, metrics: string): void {
  const tests = queries.map(
    ({ title, expr }) =>
      `      - expr: ${JSON.stringify(`count(${expr}) > bool 0 # ${title}`)}\n` +
      "        eval_time: 5m\n        exp_samples: [{ labels: '{}', value: 1 }]",
  );
  const path = join(folder, 'tests.yml');
  writeFileSync(
    path,
    `tests:\n  - interval: 15s\n    input_series:\n${seriesOf(metrics)}\n    promql_expr_test:\n${tests.join('\n')}\n`,
  );
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', path], { encoding: 'utf8' });
  assert.equal(status, 0, `${name}: ${stdout}${stderr}`);
}
