#!/bin/sh
# Builds one lab: four hosts on a switch, two VLANs, one congested port. down.sh RUN takes it away.
#
#   sudo netns-scripts/up.sh RUN [name=value ...]
#
#   dataplane=tc-bpf       who tags and classifies: tc-bpf | vlan
#   rate=200000000         the congested port in bit/s of whole frames, tag included; none = unshaped
#   discipline=strict      strict: a queue per PCP, served in order; ets: the same, served by weights;
#                          fifo: one queue, a switch without QoS
#   weights='7:2 0:1'      with ets: PCP:WEIGHT; 1 for a PCP that is not named
#   queue=256              packets per queue
#   paths=1                parallel paths of that rate each, up to 8; path N is VLAN 100 + N, tenants are on the first.
#                          More than one, and flows: dataplane tc-bpf only
#   guarantees='0:20000000'  with strict: PCP:BITS that the port keeps for a queue, whatever the order; tc-bpf only
#   flows=1                16: each queue keeps so many flows apart, which take turns of one frame
#   mtu=1500               bytes of IP packet
#   delay= jitter= loss= reorder=   what every host's card adds to each frame it sends, as netem takes it
#                          (delay=10ms loss=0.1%); dataplane vlan only
#   hostile='...'          what the switch does wrong: bleach (DSCP cleared), remark=PCP (PCP rewritten),
#                          strip (tag removed), police=PCP:BITS (that class limited to a rate)
#   guest=MAC              a guest with this address may move to the destination: frames that the switch hands to the
#                          congested port for it are copied to the switch's device "guest", for captures
#   beside=MAC             frames for this address pass the congested port beside its queues, as over another link
#   congestion=cubic       TCP congestion control of every route; default = what the box does
#   offloads=off           on: segments of up to 64 KiB cross the veths (benchmarks only)
#   order='7 6 ...'        PCPs from the queue served first to the last; default: the marking table's
#   marks='0 1 ...'        for dataplane vlan: the PCP of each DSCP 0 to 63; default: the marking table's
#   object=FILE            for dataplane tc-bpf: the compiled marking table; default: build/bpf/lab.o
#
# Each host has one veth (uplink) to the switch's bridge; the port at the switch bears the host's name.
# Addresses are 10.77.VLAN.HOST: VLAN 100 migration, 200 tenants; HOST 1 source 2 destination 3 neighbour 4 client.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

lab=${1-}
check_run "$lab"
shift
dataplane=tc-bpf rate=200000000 discipline=strict weights= queue=256 mtu=1500 paths=1 flows=1 guarantees=
delay= jitter= loss= reorder=
hostile= guest= beside= congestion=cubic offloads=off order= marks= object=$root/build/bpf/lab.o
for setting in "$@"; do
  name=${setting%%=*}
  value=${setting#*=}
  case $name in
    dataplane | rate | discipline | weights | queue | mtu | paths | flows | guarantees | delay | jitter | loss | reorder | \
      hostile | guest | beside | congestion | offloads | order | marks | object) eval "$name=\$value" ;;
    *) die 2 "unknown setting '$setting'" ;;
  esac
done
case $dataplane in tc-bpf | vlan) ;; *) die 2 "unknown dataplane '$dataplane'" ;; esac
case $discipline in strict | ets | fifo) ;; *) die 2 "unknown discipline '$discipline'" ;; esac
case $offloads in on | off) ;; *) die 2 "offloads is on or off, not '$offloads'" ;; esac
for number in "$queue" "$mtu" "${rate#none}"; do
  case $number in *[!0-9]*) die 2 "'$number' is not a whole number" ;; esac
done

case $paths in [1-8]) ;; *) die 2 "paths is 1 to 8, not '$paths'" ;; esac
case $flows in 1 | 16) ;; *) die 2 "flows is 1 or 16, not '$flows'" ;; esac
case $dataplane$paths$flows$guarantees in
  tc-bpf* | vlan11) ;;
  *) die 3 "paths, flows and guarantees need dataplane tc-bpf" ;;
esac
path=1
while [ "$path" -lt "$paths" ]; do
  vlans="$vlans $((100 + path))"
  path=$((path + 1))
done

need_root
need ip iproute2
need tc iproute2
need bridge iproute2
need sysctl procps
need ethtool ethtool
. "$here/dataplane-$dataplane.sh"
. "$here/congested-port.sh"
[ -n "$order" ] || order=$(marking service-order)
[ -n "$marks" ] || [ "$dataplane" != vlan ] || marks=$(marking pcp-by-dscp)
dataplane_check

switch=pw-$lab-switch
[ ! -e "/run/netns/$switch" ] || die 1 "lab '$lab' is up already; take it down with down.sh $lab"

# From here on something exists: whatever goes wrong, nothing half made stays.
undo() {
  trap - EXIT
  "$here/down.sh" "$lab" || true
}
trap 'undo; exit 130' INT TERM
trap undo EXIT

cables() {
  for name in $hosts switch; do say "netns add pw-$lab-$name"; done
  for host in $hosts; do
    number_of "$host"
    say "link add name uplink netns pw-$lab-$host address $mac mtu $mtu type veth peer name $host netns $switch mtu $mtu"
  done
}

# settle NAMESPACE 'DEVICES' SYSCTL=VALUE...: no router solicitations or neighbour discovery, for the lab carries what
# was asked for and nothing else; offloads as asked. Sysctls by their path below /proc/sys.
settle() {
  namespace=$1
  devices=$2
  shift 2
  [ ! -d /proc/sys/net/ipv6 ] || set -- "$@" net/ipv6/conf/all/disable_ipv6=1 net/ipv6/conf/default/disable_ipv6=1
  run ip netns exec "$namespace" sh -euc '
    state=$1 devices=$2
    shift 2
    for setting in "$@"; do echo "${setting#*=}" >"/proc/sys/${setting%%=*}"; done
    for device in $devices; do ethtool -K "$device" tso "$state" gso "$state" gro "$state" >/dev/null; done
  ' settle "$offloads" "$devices" "$@"
}

# A veth hands a frame over with its sender's socket still charged for it: a full queue at the switch would then slow
# the sender down instead of losing frames. A real NIC frees the frame. br_netfilter takes it from the socket too.
need_bridge_netfilter() {
  [ ! -d /proc/sys/net/bridge ] || return 0
  run modprobe br_netfilter
  # The module also puts the box's own bridges under its firewall; that is not ours to change.
  run sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
    net.bridge.bridge-nf-call-arptables=0
}

add_switch() {
  settle "$switch" "$hosts" \
    net/bridge/bridge-nf-call-iptables=1 net/bridge/bridge-nf-filter-vlan-tagged=1 \
    net/bridge/bridge-nf-call-ip6tables=0 net/bridge/bridge-nf-call-arptables=0
  switch_links
  tell ip -n "$switch"
  dataplane_ports
  tell bridge -n "$switch"
  congested_port
  guest_copies
  hostilities
  tell tc -n "$switch"
}

switch_links() {
  say "link set lo up"
  say "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0 $bridge_options"
  for host in $hosts; do say "link set $host master bridge up"; done
  say "link set bridge mtu $mtu up"
  [ -n "$guest" ] || return 0
  say "link add guest mtu $mtu type veth peer name guest-end mtu $mtu"
  say "link set guest up"
  say "link set guest-end up"
}

# What enters the client's port for the guest may leave at either host's. In front of the congested port's queue it is
# known which.
guest_copies() {
  [ -n "$guest" ] || return 0
  say "qdisc add dev destination clsact"
  say "filter add dev destination egress protocol all prio 1 u32 match ether dst $guest" \
    "action mirred egress mirror dev guest continue"
}

add_host() { # HOST
  namespace=pw-$lab-$1
  dataplane_devices
  tell ip -n "$namespace"
  settle "$namespace" "$cards" net/ipv4/tcp_no_metrics_save=1
  addresses "$1"
  tell ip -n "$namespace"
  dataplane_marks
  impairment
  tell tc -n "$namespace"
}

# Neighbours are permanent, so that no ARP exchange can fall victim to the cross-traffic.
addresses() { # HOST
  say "link set lo up"
  for device in $cards; do say "link set $device up"; done
  [ "$congestion" = default ] && by= || by="congctl $congestion"
  for vlan in $vlans; do
    number_of "$1"
    dataplane_device "$vlan"
    say "address add 10.77.$vlan.$number/24 brd + dev $device noprefixroute"
    say "route add 10.77.$vlan.0/24 dev $device src 10.77.$vlan.$number $by"
    for other in $hosts; do
      [ "$other" != "$1" ] || continue
      number_of "$other"
      say "neighbour add 10.77.$vlan.$number lladdr $mac dev $device nud permanent"
    done
  done
}

# A long path, in both directions because every host has its half of it. 100000 frames of it may be under way.
impairment() {
  [ -n "$delay$loss" ] || return 0
  say "qdisc add dev uplink root handle 1: netem limit 100000" \
    ${delay:+delay $delay $jitter} ${loss:+loss $loss} ${reorder:+reorder $reorder}
}

# What a policed class suffers is part of its queue; the rest happens on the way out of every port.
hostilities() {
  words=
  for word in $hostile; do
    case $word in police=*) ;; *) words="$words $word" ;; esac
  done
  [ -n "$words" ] || return 0
  for host in $hosts; do
    [ -n "$guest" ] && [ "$host" = destination ] || say "qdisc add dev $host clsact"
    for word in $words; do dataplane_hostile "$host" "$word"; done
  done
}

need_bridge_netfilter
cables
tell ip
add_switch
for host in $hosts; do add_host "$host"; done

trap - EXIT INT TERM
echo "lab '$lab' is up; look around with: ip netns exec pw-$lab-source sh"
