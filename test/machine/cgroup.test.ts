import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { availableCores, readCgroupLimits } from '../../src/cgroup.js';

const none = { memoryBytes: Number.POSITIVE_INFINITY, cores: Number.POSITIVE_INFINITY };

/** The limits in a tree of these files. */
function limitsOf(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'naan-cgroup-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), `${text}\n`);
    }
    return readCgroupLimits(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const v2 = 'sys/fs/cgroup';
const pod = `${v2}/kubepods/pod1`;
const systemd = { 'proc/self/cgroup': '0::/system.slice/naan-label@faces.service' };
const unit = `${v2}/system.slice/naan-label@faces.service`;

for (const [what, files, expected] of [
  ['no cgroups at all', {}, none],
  ['version 2 without limits', { ...systemd, [`${unit}/memory.max`]: 'max', [`${unit}/cpu.max`]: 'max 100000' }, none],
  [
    'version 2, a systemd unit',
    { ...systemd, [`${unit}/memory.max`]: '1073741824', [`${unit}/cpu.max`]: '150000 100000' },
    { memoryBytes: 2 ** 30, cores: 1.5 },
  ],
  [
    'version 2, memory.high below memory.max',
    { ...systemd, [`${unit}/memory.max`]: '2147483648', [`${unit}/memory.high`]: '1073741824' },
    { ...none, memoryBytes: 2 ** 30 },
  ],
  [
    'version 2, a limit of the group above',
    {
      'proc/self/cgroup': '0::/kubepods/pod1/container',
      [`${pod}/memory.max`]: '1073741824',
      [`${pod}/container/memory.max`]: '8589934592',
      [`${pod}/container/cpu.max`]: '400000 100000',
      [`${pod}/cpu.max`]: '200000 100000',
    },
    { memoryBytes: 2 ** 30, cores: 2 },
  ],
  [
    'version 2, a container with a namespace of its own',
    { 'proc/self/cgroup': '0::/', [`${v2}/memory.max`]: '536870912', [`${v2}/cpu.max`]: '50000 100000' },
    { memoryBytes: 2 ** 29, cores: 0.5 },
  ],
  [
    'version 1, a container whose path is that of the host',
    {
      'proc/self/cgroup': '7:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc',
      [`${v2}/memory/memory.limit_in_bytes`]: '1073741824',
      [`${v2}/cpu,cpuacct/cpu.cfs_quota_us`]: '300000',
      [`${v2}/cpu,cpuacct/cpu.cfs_period_us`]: '100000',
    },
    { memoryBytes: 2 ** 30, cores: 3 },
  ],
  [
    'version 1 without limits',
    {
      'proc/self/cgroup': '7:memory:/\n4:cpu:/\n0::/',
      [`${v2}/memory/memory.limit_in_bytes`]: '9223372036854771712',
      [`${v2}/cpu/cpu.cfs_quota_us`]: '-1',
      [`${v2}/cpu/cpu.cfs_period_us`]: '100000',
    },
    none,
  ],
] as const) {
  test(`${what}: the least limit counts`, () => assert.deepEqual(limitsOf(files), expected));
}

test('at least one core is there', () => assert(availableCores() >= 1));
