#!/bin/sh
# Tries each kernel feature that a lab can need, and prints "yes NAME" or "no NAME". What needs it, and how to get it,
# is told by `pagewire doctor`, which runs this.
#
#   netns-scripts/doctor.sh
#
# Works in a network namespace without a name, which is gone when the script ends. Without root a user namespace
# gives the right to make one, where the box allows it; else the status is 3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

if [ "${1-}" != inside ]; then
  need ip iproute2
  need tc iproute2
  need unshare util-linux
  [ "$(id -u)" = 0 ] && as= || as=--map-root-user
  unshare $as --net true 2>/dev/null || die 3 "no network namespace can be made here; run this with sudo"
  exec unshare $as --net "$here/doctor.sh" inside
fi

# try NAME COMMAND...: with a veth pair v0 and v1, made anew for each.
try() {
  name=$1
  shift
  if ip link add v0 type veth peer name v1 2>/dev/null && "$@" >/dev/null 2>&1; then
    echo "yes $name"
  else
    echo "no $name"
  fi
  ip link delete v0 2>/dev/null || true
  ip link delete b0 2>/dev/null || true
}

bridge_netfilter() {
  [ -d /proc/sys/net/bridge ] || modprobe -n br_netfilter
}

filter() { # what stands behind "tc filter add dev v0 egress"
  tc qdisc add dev v0 clsact && tc filter add dev v0 egress "$@"
}

either() { # QDISC with its options, or the other QDISC
  tc qdisc add dev v0 root $1 || tc qdisc add dev v0 root $2
}

try 'veth' ip link show v1
try 'bridge' ip link add b0 type bridge
try 'br_netfilter' bridge_netfilter
try 'sch_htb' tc qdisc add dev v0 root htb
try 'sch_fifo' tc qdisc add dev v0 root pfifo limit 1
try 'clsact' tc qdisc add dev v0 clsact

# Dataplane tc-bpf.
try 'cls_bpf' filter bpf bytecode '1,6 0 0 0,'

# Dataplane vlan.
try '8021q' ip link add link v0 name v0.5 type vlan id 5 egress-qos-map 46:5
try 'bridge vlan_filtering' ip link add b0 type bridge vlan_filtering 1 vlan_default_pvid 0
try 'sch_prio' tc qdisc add dev v0 root prio bands 8
try 'cls_flower' filter protocol 802.1Q flower vlan_prio 5 classid 1:1
try 'cls_matchall and act_skbedit' filter matchall action skbedit priority 0 inheritdsfield

# Options of a scenario.
try 'sch_ets or sch_drr' either 'ets bands 8' drr
try 'sch_netem' tc qdisc add dev v0 root netem delay 1ms
try 'sch_tbf' tc qdisc add dev v0 root tbf rate 1mbit burst 3000 limit 9000
try 'act_pedit and act_csum' filter matchall \
  action pedit ex munge ip dsfield set 0 retain 0xfc pipe action csum ip
try 'cls_u32 and act_mirred' filter u32 match ether dst 02:00:00:00:00:01 action mirred egress mirror dev v1
try 'act_vlan' filter matchall action vlan pop
