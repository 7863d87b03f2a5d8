/**
 * The published results, beside those of this code on the same files. With the authors' files in `data/`, in the layout of
 * their README, it trains on the labelled part, or converts their checkpoint, labels the other, compares with the truth, and
 * prints their two tables with a line of its own in each.
 *
 *     node dist/bench/published.js [--data data] [--out published] [--head pairwise|concat | --checkpoint model.ckpt]
 *
 * With `--checkpoint` labels are made as published: --config naan-paper.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/format.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: 'data' },
    out: { type: 'string', default: 'published' },
    head: { type: 'string', default: 'pairwise' },
    checkpoint: { type: 'string' },
  },
});
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const labelled = join(values.data, 'labeled/split0');
const unlabelled = join(values.data, 'unlabeled/split1');
const truth = `${unlabelled}_labels.txt`;
const files = [
  `${labelled}_feats.npz`,
  `${labelled}_knn.npy`,
  `${unlabelled}_feats.npz`,
  `${unlabelled}_knn.npy`,
  truth,
];
const missing = files.filter((file) => !existsSync(file));
if (missing.length > 0) {
  console.error(`published: missing ${missing.join(', ')}: docs/published.md says where the authors offer them`);
  process.exit(2);
}

interface Agreement {
  readonly bcubed: { readonly precision: number; readonly recall: number; readonly f: number };
}

/** Runs a command and returns what it prints as JSON. */
function naan(command: string, ...args: readonly string[]): Record<string, unknown> {
  console.error(`$ naan ${[command, ...args].join(' ')}`);
  const { status, stdout } = spawnSync(process.execPath, [main, command, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) process.exit(status ?? 1);
  return JSON.parse(stdout);
}

mkdirSync(values.out, { recursive: true });
const model = join(values.out, `${values.checkpoint ? 'imported' : values.head}.safetensors`);
if (values.checkpoint) naan('import-model', values.checkpoint, '--out', model);
else {
  const inputs = ['--features', `${labelled}_feats.npz`, '--knn', `${labelled}_knn.npy`];
  naan('train', ...inputs, '--head', values.head, '--out', model, '--resume');
}
const labels = join(values.out, 'labels');
const published = values.checkpoint ? ['--config', 'naan-paper'] : [];
const inputs = ['--features', `${unlabelled}_feats.npz`, '--knn', `${unlabelled}_knn.npy`, '--model', model];
naan('label', ...published, ...inputs, '--out', labels);
const clean = join(labels, 'split1_labels_clean.txt');
const found = naan('evaluate', '--labels', join(labels, 'split1_labels.txt'), '--truth', truth, '--clean-out', clean);
const { all, withoutSingletons, discardRatio } = found as unknown as {
  readonly all: Agreement;
  readonly withoutSingletons: Agreement;
  readonly discardRatio: number;
};

const percent = (share: number) => (100 * share).toFixed(1);
const row = ({ bcubed: { precision, recall, f } }: Agreement) => [precision, recall, f].map(percent);
const own = `naan, ${values.checkpoint ? 'their checkpoint' : values.head}`;
console.log('BCubed on split1, in percent');
console.log(
  table([
    ['', 'precision', 'recall', 'F'],
    ['NAAN, as published', '97.0', '86.8', '91.6'],
    [own, ...row(all)],
  ]),
);
console.log('\nwithout clusters of one row');
console.log(
  table([
    ['', 'precision', 'recall', 'F', 'discarded'],
    ['NAAN, as published', '96.9', '93.6', '95.2', '4.2'],
    [own, ...row(withoutSingletons), percent(discardRatio)],
  ]),
);
