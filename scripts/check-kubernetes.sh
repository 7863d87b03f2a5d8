#!/usr/bin/env bash
# Checks config/kubernetes by hand against the schemas of Kubernetes and KEDA, and against their types, which know of no other fields:
#   bash scripts/check-kubernetes.sh
# Schemas and types come from the npm registry into a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error kubernetes-models@4.5.1 @kubernetes-models/keda@2.0.0 yaml@2.9.1
cat >check.mjs <<'JS'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

const folder = `${process.argv[2]}/config/kubernetes`;
const typed = [];
for (const file of readdirSync(folder)) {
  for (const document of parseAllDocuments(readFileSync(`${folder}/${file}`, 'utf8'))) {
    if (document.errors.length > 0) throw document.errors[0];
    const object = document.toJS();
    const { apiVersion, kind } = object;
    const models = `${apiVersion.startsWith('keda.sh/') ? '@kubernetes-models/keda' : 'kubernetes-models'}/${apiVersion}`;
    typed.push(`export const of${typed.length}: import('${models}').I${kind} = ${JSON.stringify(object, null, 2)};`);
    try {
      const { [kind]: Model } = await import(models);
      new Model(object).validate();
      console.log(`${file}: ${kind} ${apiVersion}: valid`);
    } catch (error) {
      console.error(`${file}: ${kind} ${apiVersion}:`, error.errors ?? error);
      process.exitCode = 1;
    }
  }
}
writeFileSync('typed.mts', typed.join('\n'));
JS
node check.mjs "$root"
"$root/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2022 --module nodenext typed.mts
echo 'no other fields'
