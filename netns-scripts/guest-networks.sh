#!/bin/sh
# Gives the guest of a lab that is up a network of its own behind each host, to which the client finds by a route: one
# behind the source, where it is, and one behind the destination, where it gets a new address. A tunnel between the
# hosts is there, and unused until tunnel.sh switch. down.sh takes all of it away with the lab.
#
#   sudo netns-scripts/guest-networks.sh RUN MAC DATAPLANE
#
# MAC is the guest's, DATAPLANE the lab's. Behind host N (1 source, 2 destination) is 10.78.N.0/24: the host is .1, the
# guest .10, its card the device "card". The tunnel's ends are 10.77.200.101 and .102. Prints the tunnel's kind.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

lab=${1-}
check_run "$lab"
mac_of_guest=${2-}
case ${3-} in
  tc-bpf) device=uplink ;;
  vlan) device=uplink.200 ;;
  *) die 2 "usage: guest-networks.sh RUN MAC tc-bpf|vlan" ;;
esac
need_root
need ip iproute2
need sysctl procps

behind() { # HOST OTHER
  number_of "$2"
  other=$number
  other_mac=$mac
  number_of "$1"
  say "link add guest type veth peer name card"
  say "link set card up"
  say "link set guest up"
  say "address add 10.78.$number.1/24 dev guest"
  # The old address moves with the guest.
  for network in 1 2; do say "neighbour add 10.78.$network.10 lladdr $mac_of_guest dev guest nud permanent"; done
  say "address add 10.77.200.10$number/32 dev $device"
  say "neighbour add 10.77.200.10$other lladdr $other_mac dev $device nud permanent"
  tell ip -n "pw-$lab-$1"
  run ip netns exec "pw-$lab-$1" sysctl -qw net/ipv4/conf/guest/rp_filter=0 "net/ipv4/conf/$device/rp_filter=0"
}

behind source destination
behind destination source
say "route add 10.78.1.0/24 via 10.77.200.1 dev $device"
say "route add 10.78.2.0/24 via 10.77.200.2 dev $device"
tell ip -n "pw-$lab-client"
exec "$here/tunnel.sh" prepare "pw-$lab-source" 10.77.200.101 "pw-$lab-destination" 10.77.200.102 10.78.1.10 guest
