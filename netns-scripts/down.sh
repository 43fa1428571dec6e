#!/bin/sh
# Takes a lab away: what still runs in its namespaces, then the namespaces with all that is in them.
#
#   sudo netns-scripts/down.sh RUN
#
# What is gone already is fine. Nothing outside pw-RUN-* is touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

lab=${1-}
check_run "$lab"
need_root
need ip iproute2

# Ctrl-C reaches every process of a terminal: half a lab would stay. It ends within seconds anyway.
trap '' INT HUP

# Processes in the lab's namespaces: a namespace lives as long as one of them does.
inhabitants() {
  set -- # one search for all of them: "-samefile A -o -samefile B"
  for name in $hosts switch; do
    [ ! -e "/run/netns/pw-$lab-$name" ] || set -- "$@" ${1:+-o} -samefile "/run/netns/pw-$lab-$name"
  done
  [ $# -gt 0 ] || return 0
  # What ends while the search looks is none of its business.
  for found in $(find -L /proc/[0-9]*/ns/net -maxdepth 0 \( "$@" \) 2>/dev/null || true); do
    found=${found#/proc/}
    echo "${found%%/*}"
  done
}

# Asks politely, waits up to two seconds, then insists.
for signal in TERM KILL; do
  pids=$(inhabitants)
  [ -n "$pids" ] || break
  # One that ends by itself meanwhile is what we want.
  kill "-$signal" $pids 2>/dev/null || true
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.2
    [ -n "$(inhabitants)" ] || break
  done
done
[ -z "$pids" ] || [ -z "$(inhabitants)" ] || die 1 "processes in lab '$lab' do not end:" $(inhabitants)

for name in $hosts switch; do
  [ ! -e "/run/netns/pw-$lab-$name" ] || say "netns delete pw-$lab-$name"
done
# -force goes on after a failure: someone else's down may have been faster.
[ -z "$said" ] || words=$(ip -force -batch - 2>&1 <<END
$said
END
) || true
for name in $hosts switch; do
  [ ! -e "/run/netns/pw-$lab-$name" ] || die 1 "cannot delete pw-$lab-$name: $words"
done
