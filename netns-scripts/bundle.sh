#!/bin/sh
# Puts the program into few files, build/src/cli/pagewire.js and its parts beside it: every start of the command, and
# every agent of a run is one, reads and links a handful of modules instead of fifty to two hundred.
#
#   netns-scripts/bundle.sh
#
# From the sources, with the compiler's settings. Packages stay where they are, but for the one that every command line
# goes through. Nothing of this knows a type: tsc checks them, and writes the modules that tests import.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
cd "$root"

out=build/src/cli
rm -f "$out"/pagewire.js "$out"/part-*.js
# Beside main.js, because modules find scripts of other rooms by the way from their own: ../room/script.js.
# CommonJS inside of a module needs a require of its own.
node_modules/.bin/esbuild pagewire=src/cli/main.ts \
  --bundle --splitting --format=esm --platform=node --target=node20 --log-level=warning \
  --outdir="$out" --chunk-names='part-[name]-[hash]' \
  --packages=external --alias:commander=./node_modules/commander/index.js \
  --banner:js="import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);"
chmod +x "$out/pagewire.js"
