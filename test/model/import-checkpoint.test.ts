import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { importCheckpoint } from '../../src/model/import-checkpoint.js';
import { checkModel, tensorOf } from '../../src/model/model.js';
import { readModel, writeModel } from '../../src/model/model-file.js';
import { python, temporaryFolder, without } from '../io/python.js';

const fixtures = resolve('test/fixtures');
const torch = without('torch');

test('fixtures give their configuration; zip and legacy formats give the same tensors', async (t) => {
  const path = join(temporaryFolder(t), 'm.safetensors');
  for (const name of ['one_head', 'four_heads', 'wide']) {
    const expected = JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8'));
    const model = checkModel(await importCheckpoint(join(fixtures, name, 'zip.ckpt')), name);
    const { provenance, ...config } = model.config;
    assert.deepEqual(config, {
      head: 'concat',
      dim: expected.dim,
      heads: expected.nheads,
      alpha: expected.alpha,
      k1: expected.k1,
      k2: expected.k2,
      sampleHops: expected.sample_hops,
    });
    assert.equal(provenance.format, 'torch zip');
    await writeModel(path, model);
    assert.deepEqual([...(await readModel(path)).tensors], [...model.tensors]);
    if (name === 'wide') continue; // it has no legacy file
    const legacy = await importCheckpoint(join(fixtures, name, 'legacy_dataparallel.ckpt'));
    assert.equal(legacy.config.provenance.format, 'torch legacy');
    assert.deepEqual(new Map(legacy.tensors), new Map(model.tensors));
  }
});

test('every fixture tensor is the one PyTorch loads', { skip: torch }, async () => {
  for (const name of ['one_head/zip', 'four_heads/legacy_dataparallel', 'wide/zip']) {
    const path = join(fixtures, `${name}.ckpt`);
    const sums = python(
      `import torch, sys, json, hashlib
out = {}
for part, prefix in zip(torch.load(sys.argv[1])['model'], ['', 'classifier.']):
  for k, v in part.items():
    k = k[7:] if k.startswith('module.') else k
    out[prefix + k] = [list(v.shape), hashlib.sha256(v.contiguous().numpy().tobytes()).hexdigest()]
print(json.dumps(out))`,
      path,
    );
    const { tensors } = await importCheckpoint(path);
    const got: Record<string, unknown> = {};
    for (const [tensor, { shape, data }] of tensors) {
      got[tensor] = [shape, createHash('sha256').update(data).digest('hex')];
    }
    assert.deepEqual(got, JSON.parse(sums), name);
  }
});

const published = resolve('../shared/fixtures/omniglot_published/model.ckpt');
test('a published checkpoint on real data is imported', {
  skip: !existsSync(published) && `${published} is absent`,
}, async () => {
  const model = await importCheckpoint(published);
  assert.equal(model.config.dim, 128);
  assert.equal(tensorOf(model, 'classifier.0.weight').length, 128 * 256);
});

/** Saves `checkpoint(transform)` of a small model; `torch.load` then says what each tensor is. */
const makeCheckpoint = `
import torch, sys, argparse, collections, json
torch.manual_seed(1)
def checkpoint(transform=lambda name, x: x, d=4):
  a = collections.OrderedDict((k, transform(k, torch.randn(*s))) for k, s in [('attention.attn_0.bias', [d]),
    ('attention.attn_0.w.weight', [d, d]), ('attention.attn_0.w.bias', [d]), ('attention.attn_0.a.weight', [1, 2 * d]), ('attention.attn_0.a.bias', [1])])
  c = collections.OrderedDict((k, transform(k, torch.randn(*s))) for k, s in [('0.weight', [d, 2 * d]), ('0.bias', [d]), ('1.weight', [d]), ('2.weight', [2, d]), ('2.bias', [2])])
  a._metadata = collections.OrderedDict(version=1)
  return dict(epoch=3, model=[a, c], args=argparse.Namespace(k_hops=[5, 2], sample_hops=4, alpha=0.25, nheads=1, embed_size=d))
def save(name, ckpt, **options):
  torch.save(ckpt, sys.argv[1] + '/' + name, **options)
  tensors = {k: v.detach().float().flatten().tolist() for k, v in [*ckpt['model'][0].items(), *(('classifier.' + k, v) for k, v in ckpt['model'][1].items())]}
  json.dump(tensors, open(sys.argv[1] + '/' + name + '.json', 'w'))
`;

test('views, other float types, parameters and newer pickles are read as PyTorch reads them', {
  skip: torch,
}, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `${makeCheckpoint}
shared = torch.randn(1000)
def view(name, x):
  if name == 'attention.attn_0.w.bias': return torch.randn(1).expand(len(x))
  if name == 'attention.attn_0.w.weight': return torch.randn(4).expand(4, 4)
  if x.dim() == 2: return torch.randn(x.shape[1] + 3, x.shape[0] * 2)[3:, ::2].t()
  return shared[7:7 + 3 * len(x):3]
for zip in (True, False):
  for protocol in (2, 3, 4, 5):
    save(f'views_{zip}_{protocol}', checkpoint(view), _use_new_zipfile_serialization=zip, pickle_protocol=protocol)
  for dtype in (torch.half, torch.bfloat16, torch.double):
    save(f"{str(dtype).split('.')[1]}_{zip}", checkpoint(lambda _, x: x.to(dtype)), _use_new_zipfile_serialization=zip)
  save(f'parameters_{zip}', checkpoint(lambda _, x: torch.nn.Parameter(x)), _use_new_zipfile_serialization=zip)`,
    folder,
  );
  const names = ['float16', 'bfloat16', 'float64', 'parameters', ...[2, 3, 4, 5].map((p) => `views_%_${p}`)];
  for (const pattern of names) {
    for (const zip of ['True', 'False']) {
      const name = pattern.includes('%') ? pattern.replace('%', zip) : `${pattern}_${zip}`;
      const { config, tensors } = await importCheckpoint(join(folder, name));
      assert.deepEqual([config.dim, config.alpha, config.k1, config.k2, config.sampleHops], [4, 0.25, 5, 2, 4]);
      const expected = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
      assert.equal(tensors.size, Object.keys(expected).length);
      for (const [tensor, { data }] of tensors) assert.deepEqual([...data], expected[tensor], `${name} ${tensor}`);
    }
  }
});

test('what training scripts keep beside the tensors says nothing about them and is let be', {
  skip: torch,
}, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `${makeCheckpoint}
import numpy as np, pathlib, datetime
from collections import Counter, defaultdict, deque
def args(**more):
  c = checkpoint(); vars(c['args']).update(more); return c
m = torch.nn.Linear(4, 4); o = torch.optim.Adam(m.parameters()); m(torch.randn(2, 4)).sum().backward(); o.step()
cases = dict(
  dict_args={**checkpoint(), 'args': vars(checkpoint()['args'])},
  numpy_args=args(k_hops=[np.int64(5), np.int32(2)], sample_hops=np.uint8(4), alpha=np.float16(.25)),
  big_endian=args(alpha=np.dtype('>f8').type(.25), best=np.array([.5], '>f8')[0], flag=np.bool_(True), z=np.complex64(1)),
  objects=args(device=torch.device('cuda', 1), dtype=torch.bfloat16, root=pathlib.PosixPath('/data'), gpus={0, 1},
    frozen=frozenset([1]), type=float, z=1j, span=range(3), when=datetime.datetime(2020, 1, 2), path=pathlib.PureWindowsPath('c:/x')),
  history={**checkpoint(), 'best': np.float64(.9), 'losses': np.arange(4.), 'shape': torch.Size([2, 3]),
    'hist': defaultdict(list, a=[1]), 'count': Counter(a=2), 'recent': deque([1, 2], 5), 'rng': torch.get_rng_state(),
    'numpy_rng': np.random.get_state(), 'optimizer': o.state_dict(), 'bytes': b'abc', 'big': 2 ** 70,
    'scheduler': torch.optim.lr_scheduler.StepLR(o, 3).state_dict()})
for prefix in ('module.module.', '_orig_mod.', '_orig_mod.module.'):
  c = checkpoint(); c['model'] = [{prefix + k: v for k, v in part.items()} for part in c['model']]; cases[prefix] = c
plain = checkpoint()
for protocol in (2, 4):
  for zip in (True, False):
    for name, c in cases.items():
      torch.save(c, f'{sys.argv[1]}/{name}{protocol}{zip}', pickle_protocol=protocol, _use_new_zipfile_serialization=zip)
`,
    folder,
  );
  for (const name of readdirSync(folder)) {
    const { config, tensors } = await importCheckpoint(join(folder, name));
    assert.deepEqual([config.dim, config.alpha, config.k1, config.k2, config.sampleHops], [4, 0.25, 5, 2, 4], name);
    assert.equal(tensors.size, 10, name);
  }
});

test('a checkpoint that names a function is refused by that name, and nothing runs', {
  skip: without('numpy'),
}, async (t) => {
  const folder = temporaryFolder(t);
  const witness = join(folder, 'it-ran');
  python(
    `import pickle, sys, os, zipfile, builtins, subprocess, functools
folder, witness = sys.argv[1:]
class Evil:
  def __init__(self, f, *args): self.call = (f, args)
  def __reduce__(self): return self.call
evils = dict(system=Evil(os.system, 'touch ' + witness), eval=Evil(builtins.eval, f"open({witness!r}, 'w')"),
  popen=Evil(subprocess.Popen, ['touch', witness]), partial=functools.partial(os.system, 'touch ' + witness))
for name, evil in evils.items():
  for protocol in (0, 2, 4):
    data = pickle.dumps({'model': [{'attention.attn_0.bias': evil}, {}]}, protocol)
    open(f'{folder}/{name}_{protocol}_plain', 'wb').write(data)
    with zipfile.ZipFile(f'{folder}/{name}_{protocol}_zip', 'w') as z: z.writestr('archive/data.pkl', data)
    magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    open(f'{folder}/{name}_{protocol}_legacy', 'wb').write(magic + data + pickle.dumps([], 2))
open(folder + '/bare', 'wb').write(b"cos\\nsystem\\n(S'touch " + witness.encode() + b"'\\ntR.")`,
    folder,
    witness,
  );
  // Pickles of protocol 2 name the modules of Python 2.
  const named = {
    system: /names 'posix\.system', .* nothing was run/,
    eval: /names '(builtins|__builtin__)\.eval', .* nothing was run/,
    popen: /names '(subprocess|commands)\.Popen', .* nothing was run/,
    partial: /names 'functools\.partial', .* nothing was run/,
  };
  for (const [name, message] of Object.entries(named)) {
    for (const container of ['plain', 'zip', 'legacy']) {
      for (const protocol of [2, 4]) {
        const path = join(folder, `${name}_${protocol}_${container}`);
        await assert.rejects(importCheckpoint(path), { code: 'UNSAFE_CHECKPOINT', message }, path);
      }
      // Protocol 0 spells values in text, which no checkpoint does: refused before or at the name.
      await assert.rejects(importCheckpoint(join(folder, `${name}_0_${container}`)), { name: 'NaanError' });
    }
  }
  await assert.rejects(importCheckpoint(join(folder, 'bare')), {
    code: 'UNSAFE_CHECKPOINT',
    message: /names 'os\.system'/,
  });
  assert.ok(!existsSync(witness));
});

test('a whole module saved instead of its tensors is refused by its class', { skip: torch }, async (t) => {
  const folder = temporaryFolder(t);
  python(`import torch, sys; torch.save({'model': torch.nn.Linear(2, 2)}, sys.argv[1] + '/module')`, folder);
  const message = /names 'torch\.nn\.modules\.linear\.Linear'/;
  await assert.rejects(importCheckpoint(join(folder, 'module')), { code: 'UNSAFE_CHECKPOINT', message });
});

test('what is a checkpoint but no NAAN, or damaged, is refused', { skip: torch }, async (t) => {
  const folder = temporaryFolder(t);
  python(
    `${makeCheckpoint}
save('good', checkpoint()); save('legacy', checkpoint(), _use_new_zipfile_serialization=False)
c = checkpoint(); del c['args']; save('no_args', c)
c = checkpoint(); c['args'].k_hops = [5]; save('one_hop', c)
c = checkpoint(); del c['model'][0]['attention.attn_0.a.bias']; save('missing', c)
c = checkpoint(); c['model'][1]['3.weight'] = torch.zeros(3); save('more', c)
c = checkpoint(); c['model'][1]['0.bias'] = torch.zeros(5); save('shape', c)
c = checkpoint(); c['model'][1]['0.bias'] = torch.zeros(4, dtype=torch.int64); save('ints', c)
c = checkpoint(); c['model'][1]['0.bias'][2] = float('inf'); save('infinite', c)
c = checkpoint(); c['model'][0] = {'module.' + k: v for k, v in c['model'][0].items()} | {'attention.attn_0.bias': torch.zeros(4)}; save('twice', c)
wide = lambda n, x: torch.zeros(1).expand([4096 * (s // 4) if s >= 4 else s for s in x.shape])
torch.save(checkpoint(wide), sys.argv[1] + '/bomb')
torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))), sys.argv[1] + '/script')
torch.save({'state_dict': {}}, sys.argv[1] + '/other'); torch.save(torch.zeros(3), sys.argv[1] + '/tensor')`,
    folder,
  );
  const legacy = readFileSync(join(folder, 'legacy'));
  writeFileSync(join(folder, 'cut'), legacy.subarray(0, legacy.length - 8));
  writeFileSync(join(folder, 'empty'), '');
  writeFileSync(join(folder, 'text'), 'hello');
  writeFileSync(join(folder, 'pointer'), 'version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12345\n');
  writeFileSync(join(folder, 'page'), '<!DOCTYPE html><html>Virus scan warning</html>');
  writeFileSync(join(folder, 'packed'), gzipSync(legacy));
  await writeModel(join(folder, 'model'), await importCheckpoint(join(folder, 'good')));
  const refused: [name: string, code: string, message: RegExp][] = [
    ['no_args', 'BAD_MODEL', /training option 'alpha' is missing/],
    ['one_hop', 'BAD_MODEL', /training option 'k_hops' is missing/],
    ['missing', 'BAD_MODEL', /tensor 'attention\.attn_0\.a\.bias' is missing/],
    ['more', 'BAD_MODEL', /tensor 'classifier\.3\.weight' is not part of a NAAN/],
    ['shape', 'BAD_MODEL', /tensor 'classifier\.0\.bias' has shape \[5\], expected \[4\]/],
    ['ints', 'BAD_INPUT', /a tensor has elements of i8, expected floats/],
    ['infinite', 'BAD_MODEL', /'classifier\.0\.bias': element 2 is Infinity/],
    ['twice', 'BAD_MODEL', /has tensor 'attention\.attn_0\.bias' twice/],
    ['bomb', 'BAD_INPUT', /its tensors take more than \d+ bytes to read, far more than the \d+ of the file/],
    ['script', 'BAD_MODEL', /holds a TorchScript program/],
    ['other', 'BAD_MODEL', /has no 'model' that is a list of two state dicts.*, found: 'state_dict'/],
    ['tensor', 'BAD_MODEL', /has no 'model'/],
    ['cut', 'BAD_INPUT', /storage .* it is truncated/],
    ['empty', 'BAD_INPUT', /is empty/],
    ['pointer', 'BAD_INPUT', /a Git LFS pointer.* expected a checkpoint of torch\.save: run git lfs pull/],
    ['page', 'BAD_INPUT', /an HTML page.*the download/],
    ['packed', 'BAD_INPUT', /a gzip file.*unpack it first/],
    ['model', 'BAD_INPUT', /a safetensors file/],
    ['text', 'BAD_INPUT', /not a checkpoint of torch\.save/],
    ['absent', 'BAD_INPUT', /no such file/],
  ];
  for (const [name, code, message] of refused) {
    await assert.rejects(importCheckpoint(join(folder, name)), { name: 'NaanError', code, message }, name);
  }
});
