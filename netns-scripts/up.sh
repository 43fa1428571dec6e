#!/bin/sh
# Builds one lab: four hosts on a switch, two VLANs, one congested port. down.sh RUN takes it away.
#
#   sudo netns-scripts/up.sh RUN [name=value ...]
#
#   dataplane=tc-bpf       who tags and classifies: tc-bpf
#   rate=200000000         the congested port in bit/s of whole frames, tag included; none = unshaped
#   discipline=strict      strict: a queue per PCP, served in order; fifo: one queue, a switch without QoS
#   queue=256              packets per queue
#   mtu=1500               bytes of IP packet
#   congestion=cubic       TCP congestion control of every route; default = what the box does
#   offloads=off           on: segments of up to 64 KiB cross the veths (benchmarks only)
#   order='7 6 ...'        PCPs from the queue served first to the last; default: the marking table's
#   object=FILE            the compiled dataplane; default: build/bpf/lab.o
#
# Each host has one veth (uplink) to the switch's bridge; the port at the switch bears the host's name.
# Addresses are 10.77.VLAN.HOST: VLAN 100 migration, 200 tenants; HOST 1 source 2 destination 3 neighbour 4 client.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

lab=${1-}
check_run "$lab"
shift
dataplane=tc-bpf rate=200000000 discipline=strict queue=256 mtu=1500 congestion=cubic offloads=off
order= object=$root/build/bpf/lab.o
for setting in "$@"; do
  case $setting in
    dataplane=* | rate=* | discipline=* | queue=* | mtu=* | congestion=* | offloads=* | order=* | object=*)
      name=${setting%%=*}
      value=${setting#*=}
      eval "$name=\$value"
      ;;
    *) die 2 "unknown setting '$setting'" ;;
  esac
done
case $dataplane in tc-bpf) ;; *) die 2 "unknown dataplane '$dataplane'" ;; esac
case $discipline in strict | fifo) ;; *) die 2 "unknown discipline '$discipline'" ;; esac
case $offloads in on | off) ;; *) die 2 "offloads is on or off, not '$offloads'" ;; esac
for number in "$queue" "$mtu" "${rate#none}"; do
  case $number in *[!0-9]*) die 2 "'$number' is not a whole number" ;; esac
done

need_root
need ip iproute2
need tc iproute2
need sysctl procps
need ethtool ethtool
. "$here/dataplane-$dataplane.sh"
. "$here/congested-port.sh"
[ -n "$order" ] || order=$(marking service-order)
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

sysctls() { # NAMESPACE name=value...
  namespace=$1
  shift
  run ip netns exec "$namespace" sysctl -qw "$@"
}

add_namespace() { # NAMESPACE
  run ip netns add "$1"
  # No router solicitations or neighbour discovery: the lab carries what was asked for and nothing else.
  if [ -d /proc/sys/net/ipv6 ]; then
    sysctls "$1" net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  fi
  run ip -n "$1" link set lo up
}

add_switch() {
  add_namespace "$switch"
  run ip -n "$switch" link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
  orphan_frames
  run ip -n "$switch" link set bridge mtu "$mtu" up
}

# A veth hands a frame over with its sender's socket still charged for it: a full queue at the switch would then slow
# the sender down instead of losing frames. A real NIC frees the frame. br_netfilter takes it from the socket too.
orphan_frames() {
  if [ ! -d /proc/sys/net/bridge ]; then
    run modprobe br_netfilter
    # The module also puts the box's own bridges under its firewall; that is not ours to change.
    run sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
      net.bridge.bridge-nf-call-arptables=0
  fi
  sysctls "$switch" net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-filter-vlan-tagged=1 \
    net.bridge.bridge-nf-call-ip6tables=0 net.bridge.bridge-nf-call-arptables=0
}

add_host() { # HOST
  namespace=pw-$lab-$1
  add_namespace "$namespace"
  sysctls "$namespace" net.ipv4.tcp_no_metrics_save=1
  run ip link add name uplink netns "$namespace" address "$(mac_of "$1")" mtu "$mtu" \
    type veth peer name "$1" netns "$switch" mtu "$mtu"
  set_offloads "$namespace" uplink
  set_offloads "$switch" "$1"
  run ip -n "$switch" link set "$1" master bridge up
  run bridge -n "$switch" fdb replace "$(mac_of "$1")" dev "$1" master static
  run ip -n "$namespace" link set uplink up
  dataplane_host "$namespace"
  for vlan in $vlans; do add_addresses "$1" "$vlan"; done
}

set_offloads() { # NAMESPACE DEVICE
  run ip netns exec "$1" ethtool -K "$2" tso "$offloads" gso "$offloads" gro "$offloads" >/dev/null
}

# Neighbours are permanent, so that no ARP exchange can fall victim to the cross-traffic.
add_addresses() { # HOST VLAN
  namespace=pw-$lab-$1
  device=$(dataplane_device "$2")
  run ip -n "$namespace" address add "$(address_of "$1" "$2")/24" brd + dev "$device" noprefixroute
  if [ "$congestion" = default ]; then
    run ip -n "$namespace" route add "10.77.$2.0/24" dev "$device" src "$(address_of "$1" "$2")"
  else
    run ip -n "$namespace" route add "10.77.$2.0/24" dev "$device" src "$(address_of "$1" "$2")" \
      congctl "$congestion"
  fi
  for other in $hosts; do
    [ "$other" != "$1" ] || continue
    run ip -n "$namespace" neighbour add "$(address_of "$other" "$2")" lladdr "$(mac_of "$other")" \
      dev "$device" nud permanent
  done
}

add_switch
for host in $hosts; do add_host "$host"; done
congested_port

trap - EXIT INT TERM
echo "lab '$lab' is up; look around with: ip netns exec pw-$lab-source sh"
