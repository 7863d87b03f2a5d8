/**
 * The whole pipeline on a small set that it makes itself: the commands a user would type, and what they print.
 *
 *     npm run demo
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = 'demo-run';

const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

function naan(command: string): void {
  console.log(`\n$ naan ${command}`);
  const { status } = spawnSync(process.execPath, [main, ...command.split(' ')], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const began = performance.now();
rmSync(folder, { recursive: true, force: true });
naan(`generate --out ${folder} --ids 500 --dim 128 --seed 1`);
const labelled = `${folder}/labeled/split0`;
const split = `${folder}/unlabeled/split1`;
naan(`train --features ${labelled}_feats.npz --knn ${labelled}_knn.npy --out ${folder}/model.safetensors`);
naan(
  `label --features ${split}_feats.npz --knn ${split}_knn.npy --model ${folder}/model.safetensors --out ${folder}/out`,
);
naan(`evaluate --labels ${folder}/out/split1_labels.txt --truth ${split}_labels.txt`);
console.log(`\nall in ${((performance.now() - began) / 1000).toFixed(1)} s`);
