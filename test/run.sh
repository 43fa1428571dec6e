#!/bin/sh
# Everything that must hold: format and lint, dead code, then the tests. Called by `npm test`, which sets up first.
#
#   test/run.sh            all of it
#   test/run.sh WORD...    only the test files whose path contains one of the words
#
# The tests run one file at a time: those on network namespaces measure rates and would disturb each other. Without
# root they are skipped, each with its reason; the totals at the end count them.
set -eu
cd "$(dirname "$0")/.."

checked=0
if [ $# -eq 0 ]; then
  set -- /
  # The tests run all the same: somebody who reads the totals wants to know both.
  node_modules/.bin/biome ci --colors=off . || checked=1
  node_modules/.bin/knip --no-progress || checked=1
  [ "$(id -u)" = 0 ] || echo 'pagewire tests: not root, so the tests on network namespaces are skipped' >&2
fi

files=$(for word in "$@"; do find build/test -name '*.test.js' -path "*$word*"; done | sort -u)
[ -n "$files" ] || {
  echo "pagewire tests: no test file below build/test has $* in its path" >&2
  exit 2
}
# A test that hangs fails after ten minutes, the whole after forty.
timeout -k 30 2400 node --enable-source-maps --test --test-reporter=spec --test-concurrency=1 \
  --test-timeout=600000 $files
[ $checked = 0 ] || echo 'pagewire tests: the linter or the search for dead code complained, see the top' >&2
exit $checked
