/**
 * The whole pipeline on a small set that it makes itself: the commands a user would type, and what they print.
 *
 *     npm run demo
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = 'demo-run';

function run(shown: string, script: string, args: readonly string[]): void {
  console.log(`\n$ ${shown}`);
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { status } = spawnSync(process.execPath, [path, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function naan(command: string): void {
  run(`naan ${command}`, '../src/cli/main.js', command.split(' '));
}

const began = performance.now();
rmSync(folder, { recursive: true, force: true });
naan(`generate --out ${folder} --ids 500 --dim 128 --seed 1`);
run(`node dist/bench/demo-model.js ${folder}`, './demo-model.js', [folder]);
const split = `${folder}/unlabeled/split1`;
naan(
  `label --features ${split}_feats.npz --knn ${split}_knn.npy --model ${folder}/model.safetensors --out ${folder}/out`,
);
naan(`evaluate --labels ${folder}/out/split1_labels.txt --truth ${split}_labels.txt`);
console.log(`\nall in ${((performance.now() - began) / 1000).toFixed(1)} s`);
