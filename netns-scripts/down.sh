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

# A namespace lives as long as a process is in it. Asks politely, waits up to two seconds, then insists.
empty_namespace() { # NAMESPACE
  for signal in TERM KILL; do
    pids=$(ip netns pids "$1" 2>/dev/null || true)
    [ -n "$pids" ] || return 0
    # A process that ends by itself meanwhile is what we want.
    kill "-$signal" $pids 2>/dev/null || true
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -n "$(ip netns pids "$1" 2>/dev/null || true)" ] || return 0
      sleep 0.2
    done
  done
  die 1 "processes in $1 do not end: $(ip netns pids "$1")"
}

for name in $hosts switch; do
  namespace=pw-$lab-$name
  [ -e "/run/netns/$namespace" ] || continue
  empty_namespace "$namespace"
  # Someone else's down may have been faster.
  ip netns delete "$namespace" || [ ! -e "/run/netns/$namespace" ] || die 1 "cannot delete $namespace"
done
