#!/bin/sh
# What is too much for every `npm test`: 200,000 damaged captures, in slices, so that a hang is noticed early.
#
#   npm run nightly                 all of them, with today's seed
#   npm run nightly -- 20000 7      that many, with seed 7
set -eu
cd "$(dirname "$0")/.."
inputs=${1:-200000}
seed=${2:-$(date -u +%Y%m%d)}
slice=20000
done=0
while [ "$done" -lt "$inputs" ]; do
  left=$((inputs - done))
  [ "$left" -le "$slice" ] || left=$slice
  # A slice takes some minutes; one that hangs is ended.
  PAGEWIRE_SEED=$seed PAGEWIRE_FUZZ_FROM=$done PAGEWIRE_FUZZ_INPUTS=$left \
    timeout -k 10 3600 node --enable-source-maps --test --test-reporter=spec build/test/cli/analyze-fuzz.test.js
  done=$((done + left))
  echo "nightly: $done of $inputs damaged captures, seed $seed"
done
