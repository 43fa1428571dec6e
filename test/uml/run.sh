#!/bin/sh
# Runs a command in a guest kernel that has what this box's kernel may lack (VLAN devices, prio, netem, flower).
#
#   test/uml/run.sh [-o DIR] [-t SECONDS] COMMAND [ARGUMENT...]
#
# The guest is user-mode Linux (Debian package user-mode-linux): an ordinary program, one processor, no privileges of
# its own. It sees this box's files read-only; DIR (made if absent) is its only place to write that stays, named
# $PAGEWIRE_OUT inside. The command's output appears here as it comes, its exit status becomes ours: 124 when the time
# limit (300 s) ended it, 125 when the guest did not run, 127 when the package is missing.
# All of its processes live in a process namespace of their own, so killing this script leaves none of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")

out= limit=300
while getopts o:t: option; do
  case $option in
    o) out=$OPTARG ;;
    t) limit=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { echo "usage: test/uml/run.sh [-o DIR] [-t SECONDS] COMMAND [ARGUMENT...]" >&2; exit 2; }
command -v linux.uml >/dev/null || {
  echo "linux.uml is missing; install it with: apt-get install user-mode-linux" >&2
  exit 127
}

# What a script left that was killed outright; its process number is in the name.
for stale in "${TMPDIR:-/tmp}"/pagewire-uml-[0-9]*-*; do
  owner=${stale##*/pagewire-uml-}
  [ ! -d "$stale" ] || [ -d "/proc/${owner%%-*}" ] || rm -rf "$stale"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/pagewire-uml-$$-XXXXXX")
uml= reader=
clean() {
  kill -KILL $uml $reader 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/out"
: >"$work/output"

quoted() {
  for word in "$@"; do
    printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")"
  done
}
{
  env | grep -E '^(LANG|PAGEWIRE_[A-Z_]*|UPDATE_GOLDEN)=' | while IFS= read -r line; do
    echo "export ${line%%=*}=$(quoted "${line#*=}" | cut -c2-)"
  done
  echo "export PATH=$(quoted "/run/bin:$PATH:/usr/sbin:/sbin" | cut -c2-)"
  echo "cd $(quoted "$root")"
  echo "exec$(quoted "$@")"
} >"$work/command"

# Without root, a user namespace gives the right to make a process namespace.
[ "$(id -u)" = 0 ] && as= || as=--map-root-user
setpriv --pdeathsig KILL unshare $as --pid --fork --kill-child --mount-proc \
  linux.uml mem=1G quiet loglevel=3 root=/dev/root rootfstype=hostfs rootflags=/ ro \
  "init=$here/init.sh" "uml_dir=$work" "umid=guest" con0=null,fd:1 con=null ssl=null \
  "pagewire_work=$work" "pagewire_root=$root" </dev/null >"$work/console" 2>&1 &
uml=$!
# In the background, because a shell looks at a signal only when no command stands in front.
timeout "$limit" tail -n +1 -s 0.2 -f --pid="$uml" "$work/output" &
reader=$!
wait "$reader" || status=$?
[ "${status-}" != 124 ] || { echo "test/uml/run.sh: stopped after $limit s" >&2; exit 124; }
wait "$uml" || true
uml=
if [ -n "$out" ]; then
  mkdir -p "$out"
  cp -R "$work/out/." "$out"
fi
[ -f "$work/status" ] || {
  echo "test/uml/run.sh: the guest kernel did not run the command; it said:" >&2
  cat "$work/console" >&2
  exit 125
}
exit "$(cat "$work/status")"
