/**
 * Does a set that is planned to fit run, at its full size, in that much memory? `label` runs in a cgroup (version 1) of its
 * own, which ends a process that takes more. Needs root.
 *
 *     node dist/bench/small-machine.js [--nodes 1000000] [--dim 128] [--memory-mib 2720] [--folder DIR]
 *
 * A set that the plan refuses shows nothing: give little more than its plan needs. The set is made once and stays in the folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { report } from './report.js';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000000' },
    dim: { type: 'string', default: '128' },
    'memory-mib': { type: 'string', default: '2720' },
    folder: { type: 'string', default: join(tmpdir(), 'naan-small-machine') },
  },
});
const { nodes, dim } = values;
const limitBytes = Number(values['memory-mib']) * 2 ** 20;
const set = join(values.folder, `set-${nodes}-${dim}`);
const out = join(values.folder, 'out');
const main = resolve('dist/src/cli/main.js');

if (!existsSync(set)) {
  const flags = ['--nodes', nodes, '--dim', dim, '--labeled-ids', '0', '--k', '20', '--shuffle', '--planted-knn'];
  const { status } = spawnSync(process.execPath, [main, 'generate', '--out', set, ...flags], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the set cannot be made');
}
const group = join('/sys/fs/cgroup/memory', `naan-small-machine-${process.pid}`);
mkdirSync(group);
try {
  writeFileSync(join(group, 'memory.limit_in_bytes'), String(limitBytes));
  rmSync(out, { recursive: true, force: true });
  const split = join(set, 'unlabeled', 'split1');
  const label = ['label', '--features', `${split}_feats.npz`, '--knn', `${split}_knn.npy`, '--out', out];
  const words = ['-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh', process.execPath, main, ...label];
  const { status, signal } = spawnSync('sh', words, { stdio: 'inherit' });
  const { plan, peakRssBytes, seconds } = existsSync(join(out, 'run.json'))
    ? JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
    : {};
  const highestBytes = Number(readFileSync(join(group, 'memory.max_usage_in_bytes'), 'utf8'));
  report('small-machine', { nodes, dim, limitBytes, highestBytes, status, signal, plan, peakRssBytes, seconds });
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  rmdirSync(group);
}
