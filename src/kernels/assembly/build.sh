#!/bin/sh
# Compiles the kernels twice: plain SIMD, and relaxed SIMD (fused multiply-add) for engines that have it. Those of training
# work in a memory that threads share.
set -e
here=src/kernels/assembly
out=dist/src/kernels
mkdir -p "$out"
newest=$(ls -t "$here"/* | head -n 1)
if [ "$out/training-relaxed.wasm" -nt "$newest" ]; then exit 0; fi
flags="--optimizeLevel 3 --runtime stub --noAssert --importMemory --initialMemory 1 --maximumMemory 65536 --use abort= --enable simd"
npx asc "$here/index.ts" $flags --outFile "$out/kernels-simd.wasm"
npx asc "$here/index.ts" $flags --enable relaxed-simd --outFile "$out/kernels-relaxed.wasm"
flags="$flags --sharedMemory --enable threads"
npx asc "$here/training.ts" $flags --outFile "$out/training-simd.wasm"
npx asc "$here/training.ts" $flags --enable relaxed-simd --outFile "$out/training-relaxed.wasm"
