#!/usr/bin/env bash
# What somebody does who has nothing but Node and npm: packs naan, installs it in every way that docs/install.md names, and
# runs the command and the library. Installing must run no script; what is installed must work without a network, in a
# folder that it may not write, with no home folder, under a path with spaces and letters of any alphabet.
#     bash scripts/newcomer.sh
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
package=$(node -p "require('./package.json').name")
most_megabytes=160

work=$(mktemp -d)
background=""
clean() {
  [ -z "$background" ] || kill "$background" 2>/dev/null || true
  chmod -R u+w "$work" && rm -rf "$work"
}
trap clean EXIT
chmod 755 "$work"
here="$work/Łukasz's faces 顔"
mkdir "$here"

fail() {
  echo "newcomer: $1" >&2
  exit 1
}
say() { echo "==> ${SECONDS} s: $1"; }

# quietly LOG COMMAND…: the log is shown when the command fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "failed: $*"; }
}

# npm prints '> package@version event' for each script that it runs.
no_script_ran() {
  if grep -E '^> .+@.+ (pre|post)?install$' "$1"; then fail "installing ran a script"; fi
}

# Commands run as a user who may write neither the program nor a home, and without a network where that can be arranged.
confined=(env -u HOME)
if unshare -n true 2>/dev/null; then confined=(unshare -n "${confined[@]}"); else echo "newcomer: not without a network: unshare -n is refused" >&2; fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then confined+=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
writable() { mkdir -p "$1" && chmod 777 "$1"; }

# try FOLDER HEADS NAAN…: a whole run on a small set, by the command.
try() {
  local set="$1/set" heads=$2
  shift 2
  local naan=("${confined[@]}" "$@") labeled=("$set/labeled/split0_feats.npz" "$set/labeled/split0_knn.npy")
  local unlabeled="$set/unlabeled/split1_feats.npz" hops=(--k-hops 6 4 --sample-hops 8)
  writable "$set"
  {
    "${naan[@]}" generate --out "$set" --ids 60 --dim 16 --k 20 --seed 3
    "${naan[@]}" knn --features "$unlabeled" --k 20 --out "$set/knn.npy"
    for head in $heads; do
      local model="$set/$head/model.safetensors" out="$set/$head/labels"
      "${naan[@]}" train --head "$head" --features "${labeled[0]}" --knn "${labeled[1]}" "${hops[@]}" --epochs 1 --passes 1 \
        --batch 128 --out "$model"
      "${naan[@]}" label --features "$unlabeled" --knn "$set/knn.npy" --model "$model" --out "$out"
      "${naan[@]}" evaluate --labels "$out/split1_labels.txt" --truth "$set/unlabeled/split1_labels.txt"
    done
  } >"$set.log" 2>&1 || { cat "$set.log" >&2; fail "a run of '$*' failed"; }
}

npm_install=(npm install --foreground-scripts --no-audit --no-fund)

quietly "$work/pack.log" npm pack --pack-destination "$work"
tarball=$(echo "$work"/*.tgz)
say "npm pack: $(du -m "$tarball" | cut -f1) MB"

# From the repository, beside the rest: it builds.
git_install() {
  mkdir "$here/from git" && cd "$here/from git"
  npm init -y >/dev/null
  "${npm_install[@]}" "git+file://$checkout#$(git -C "$checkout" rev-parse HEAD)"
}
git_install >"$work/git.log" 2>&1 &
background=$!

mkdir "$here/application" && cd "$here/application"
npm init -y >/dev/null
quietly "$work/install.log" "${npm_install[@]}" "$tarball"
no_script_ran "$work/install.log"
scripts=$(npm query ':attr(scripts, [preinstall]), :attr(scripts, [install]), :attr(scripts, [postinstall])')
[ "$scripts" = "[]" ] || fail "an installed package has an install script: $scripts"
size=$(du -sm node_modules | cut -f1)
[ "$size" -le "$most_megabytes" ] || fail "$size MB are installed, expected at most $most_megabytes"
say "npm install: $size MB, no script"

chmod -R a-w node_modules
try "$PWD" "concat pairwise" node_modules/.bin/naan
HOME=/proc/none NAAN_THREADS=1 node_modules/.bin/naan --version >/dev/null
say "the command"

chmod -R u+w node_modules
quietly "$work/typescript.log" "${npm_install[@]}" --save-dev "typescript@$(node -p "require('$checkout/package.json').devDependencies.typescript")" @types/node@20
npm pkg set type=module
cat >tsconfig.json <<'END'
{
  "compilerOptions": {
    "target": "es2022", "module": "nodenext", "strict": true, "skipLibCheck": false, "exactOptionalPropertyTypes": true,
    "noUncheckedIndexedAccess": true, "verbatimModuleSyntax": true, "types": ["node"]
  },
  "files": ["typed.ts"]
}
END
cat >typed.ts <<END
import { evaluate, generate, knn, label, type LabelResult, NaanError, readLabels, train } from '$package';

const [folder = '.'] = process.argv.slice(2);
await generate({ out: folder, ids: 60, dim: 16, k: 20, seed: 3 });
const { model } = await train({
  features: folder + '/labeled/split0_feats.npz',
  knn: folder + '/labeled/split0_knn.npy',
  sampleHops: 8,
  onReport: ({ unit, index, loss }) => console.log(unit, index, loss),
});
const features = folder + '/unlabeled/split1_feats.npz';
const { graph } = await knn(features, { k: 20 });
const result: LabelResult = await label({ features, knn: graph, model });
const truth = await readLabels(folder + '/unlabeled/split1_labels.txt');
const { all } = evaluate(result.labels, truth.codes);
if (!(all.bcubed.f > 0.3)) throw new Error('BCubed F is ' + all.bcubed.f);
await label({ features: 'none.npz', knn: graph, model }).then(
  () => { throw new Error('a missing file was taken'); },
  (error: unknown) => { if (!(error instanceof NaanError && error.code === 'BAD_INPUT')) throw error; },
);
END
cat >plain.mjs <<END
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { knn } from '$package';
// In the main thread and in one of the application's own.
const features = workerData ?? process.argv[2] + '/unlabeled/split1_feats.npz';
const { method } = await knn(features, { k: 5 });
if (method !== 'exact') throw new Error(method);
if (isMainThread) new Worker(new URL(import.meta.url), { workerData: features });
END
cat >plain.cjs <<END
import('$package').then(({ readLabels }) => readLabels(process.argv[2] + '/unlabeled/split1_labels.txt')).then(({ codes }) => {
  if (!(codes instanceof Int32Array)) throw new Error('no labels');
});
END
quietly "$work/tsc.log" npx --no tsc
writable "$PWD/library"
for program in typed.js plain.mjs plain.cjs; do
  quietly "$work/$program.log" "${confined[@]}" node "$program" "$PWD/library"
done
say "the library, from strict TypeScript and from JavaScript as ESM and CommonJS"

quietly "$work/global.log" "${npm_install[@]}" --global --prefix "$here/global" "$tarball"
no_script_ran "$work/global.log"
writable "$here/anywhere"
try "$here/anywhere" concat "$here/global/bin/naan"
say "npm install --global"

wait "$background" || { cat "$work/git.log" >&2; fail "npm install git+file failed"; }
background=""
cd "$here/from git"
for part in config/default.yaml docs/options.md dist/runtime/LICENSE dist/src/kernels/kernels-simd.wasm dist/workers/shard-worker.js; do
  [ -e "node_modules/$package/$part" ] || fail "the package made from the repository has no $part"
done
try "$PWD" concat node_modules/.bin/naan
say "npm install git+file"
