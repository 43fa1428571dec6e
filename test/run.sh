#!/bin/sh
# Everything that must hold: format and lint, dead code, then the tests. Called by `npm test`, which sets up first.
#
#   test/run.sh            all of it
#   test/run.sh WORD...    only the test files whose path contains one of the words
#
# Most tests on network namespaces measure rates, or look for what was left behind, and would disturb each other: they
# run one file at a time. Those that do neither run two at a time, for they wait most of their time. Where this kernel
# has no VLAN devices, the tests of dataplane vlan run in a guest kernel, which is one busy process, beside the tests
# that touch no namespace; the second processor has nothing else to do. Those give way to the guest: when its processor
# is away, its clock goes on.
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
everything=
[ $# -gt 0 ] || everything=1
[ -z "$everything" ] || set -- /

files=$(for word in "$@"; do find build/test -name '*.test.js' -path "*$word*"; done | sort -u)
[ -n "$files" ] || {
  echo "pagewire tests: no test file below build/test has $* in its path" >&2
  exit 2
}

# Whoever compiled by hand has new modules and an old program.
if [ -n "$(find build/src -name '*.js' ! -name 'part-*' -newer build/src/cli/pagewire.js | head -n 1)" ]; then
  netns-scripts/bundle.sh
fi

beside= together= alone= vlan=
for file in $files; do
  case $file in
    */netns/dataplane-vlan.test.js) vlan=$file ;;
    # What these say holds at any speed.
    */netns/hostile.* | */netns/read-back.* | */netns/lab-marks.* | */netns/marked-socket.* | */netns/schemes.* | */netns/tunnel.* | \
      */report/* | */uml/* | */cli/analyze-fuzz.*) together="$together $file" ;;
    # These measure rates or times, or take stock of the whole box.
    */netns/*) alone="$alone $file" ;;
    *) beside="$beside $file" ;;
  esac
done

# A test that hangs fails after ten minutes, the whole of a part after forty.
tests() { # CONCURRENCY OUTPUT FILE...
  concurrency=$1
  output=$2
  shift 2
  [ $# -gt 0 ] || return 0
  $gently timeout -k 30 2400 node --enable-source-maps --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$output" --test-concurrency="$concurrency" --test-timeout=600000 "$@"
}

gently=
if [ -n "$vlan" ] && ! sh netns-scripts/doctor.sh 2>/dev/null | grep -q '^yes 8021q$'; then
  tests 1 "$work/vlan.tap" "$vlan" >"$work/vlan" 2>&1 &
  guest=$!
  gently='nice -n 10'
else
  alone="$alone $vlan"
fi
if [ -n "$everything" ]; then
  # The tests run all the same: somebody who reads the totals wants to know both.
  $gently node_modules/.bin/biome ci --colors=off . || status=1
  $gently node_modules/.bin/knip --no-progress || status=1
  [ $status = 0 ] || echo 'pagewire tests: the linter or the search for dead code complained, see above' >&2
  [ "$(id -u)" = 0 ] || echo 'pagewire tests: not root, so the tests on network namespaces are skipped' >&2
fi
tests 1 "$work/beside.tap" $beside || status=1
gently=
if [ -n "$guest" ]; then
  echo 'pagewire tests: waiting for the guest kernel' >&2
  wait "$guest" || status=1
  guest=
  cat "$work/vlan"
fi
tests 2 "$work/together.tap" $together || status=1
tests 1 "$work/alone.tap" $alone || status=1

# One sum of the parts, and where they ran.
total() {
  cat "$work"/*.tap | sed -n "s/^# $1 \([0-9]*\)\$/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}
grep -ho 'dataplane vlan, [^:]*: [0-9].*' "$work"/*.tap || true
echo "pagewire tests: $(total pass) passed, $(total fail) failed, $(total cancelled) cancelled, $(total skipped) skipped"
exit $status
