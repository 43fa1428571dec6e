#!/bin/sh
# Everything that must hold: format and lint, dead code, then the tests. Called by `npm test`, which sets up first.
#
#   test/run.sh            all of it
#   test/run.sh WORD...    only the test files whose path contains one of the words
#
# The tests run one file at a time: those on network namespaces measure rates and would disturb each other. The one
# exception: where this kernel has no VLAN devices, the tests of dataplane vlan run in a guest kernel, which is one
# busy process, beside the tests that touch no namespace; the second processor has nothing else to do.
# Without root the tests on namespaces are skipped, each with its reason; the totals at the end count them.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/pagewire-tests-XXXXXX")
guest=
clean() {
  [ -z "$guest" ] || kill "$guest" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

status=0
if [ $# -eq 0 ]; then
  set -- /
  # The tests run all the same: somebody who reads the totals wants to know both.
  node_modules/.bin/biome ci --colors=off . || status=1
  node_modules/.bin/knip --no-progress || status=1
  [ $status = 0 ] || echo 'pagewire tests: the linter or the search for dead code complained, see above' >&2
  [ "$(id -u)" = 0 ] || echo 'pagewire tests: not root, so the tests on network namespaces are skipped' >&2
fi

files=$(for word in "$@"; do find build/test -name '*.test.js' -path "*$word*"; done | sort -u)
[ -n "$files" ] || {
  echo "pagewire tests: no test file below build/test has $* in its path" >&2
  exit 2
}

beside= alone= vlan=
for file in $files; do
  case $file in
    */netns/dataplane-vlan.test.js) vlan=$file ;;
    # Those measure rates or times, or have many processes of their own.
    */agent/traffic/* | */agent/probe/* | */agent/client/* | */netns/* | */netns-scripts/* | */report/* | */uml/*) alone="$alone $file" ;;
    *) beside="$beside $file" ;;
  esac
done

# A test that hangs fails after ten minutes, the whole of a part after forty.
tests() { # OUTPUT FILE...
  output=$1
  shift
  [ $# -gt 0 ] || return 0
  timeout -k 30 2400 node --enable-source-maps --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$output" --test-concurrency=1 --test-timeout=600000 "$@"
}

if [ -n "$vlan" ] && ! sh netns-scripts/doctor.sh 2>/dev/null | grep -q '^yes 8021q$'; then
  tests "$work/vlan.tap" "$vlan" >"$work/vlan" 2>&1 &
  guest=$!
else
  alone="$alone $vlan"
fi
tests "$work/beside.tap" $beside || status=1
if [ -n "$guest" ]; then
  echo 'pagewire tests: waiting for the guest kernel' >&2
  wait "$guest" || status=1
  guest=
  cat "$work/vlan"
fi
tests "$work/alone.tap" $alone || status=1

# One sum of the parts, and where they ran.
total() {
  cat "$work"/*.tap | sed -n "s/^# $1 \([0-9]*\)\$/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}
grep -ho 'dataplane vlan, [^:]*: [0-9].*' "$work"/*.tap || true
echo "pagewire tests: $(total pass) passed, $(total fail) failed, $(total cancelled) cancelled, $(total skipped) skipped"
exit $status
