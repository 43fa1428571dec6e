#!/bin/sh
# A tunnel that carries packets for a moved guest's old address from its old host to its new one (Bradford 2007, step 7).
# New connections find the guest at its new address by name; the tunnel is for those that exist.
#
#   sudo netns-scripts/tunnel.sh up OLD-NAMESPACE OLD-HOST-ADDRESS NEW-NAMESPACE NEW-HOST-ADDRESS GUEST-ADDRESS GUEST-DEVICE
#   sudo netns-scripts/tunnel.sh prepare (the same)
#   sudo netns-scripts/tunnel.sh switch OLD-NAMESPACE GUEST-ADDRESS
#   sudo netns-scripts/tunnel.sh down OLD-NAMESPACE NEW-NAMESPACE GUEST-ADDRESS
#
# The addresses are those by which the hosts reach each other. GUEST-DEVICE is the new host's, behind which the guest
# now is. ipip where the kernel has it, else vxlan; the device is called pw-tunnel on both hosts, and what goes through
# it keeps its DSCP outside. `up` is prepare and switch: until the switch the guest is found at its old host.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

tunnel=pw-tunnel
near=169.254.77.1
far=169.254.77.2

# The cards of a vxlan's ends: the neighbour is permanent, so that no ARP goes through the tunnel.
mac=02:70:77:00:02:0

# tunnel_device NAMESPACE OWN-ADDRESS PEER-ADDRESS OWN-END PEER-END
tunnel_device() {
  if [ "$kind" = ipip ]; then
    run ip -n "$1" link add "$tunnel" type ipip local "$2" remote "$3" tos inherit
  else
    run ip -n "$1" link add "$tunnel" address "$mac${4##*.}" type vxlan id 17 local "$2" remote "$3" \
      dstport 4789 tos inherit
    run ip -n "$1" neighbour add "$5" lladdr "$mac${5##*.}" dev "$tunnel" nud permanent
  fi
  run ip -n "$1" address add "$4" peer "$5/32" dev "$tunnel"
  # Forwarded packets come in where the route back would not go.
  run ip netns exec "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 \
    "net.ipv4.conf.$tunnel.rp_filter=0"
  run ip -n "$1" link set "$tunnel" up
}

# What the kernel can make: nothing of it stays.
kind_of() {
  if ip -n "$1" link add pw-try type ipip local 127.0.0.2 remote 127.0.0.3 2>/dev/null; then
    ip -n "$1" link del pw-try
    echo ipip
  else
    echo vxlan
  fi
}

# switch_over OLD-NAMESPACE GUEST: from here on the old host sends what comes for the guest after it.
switch_over() {
  run ip -n "$1" route replace "$2/32" via "$far" dev "$tunnel" onlink
}

need_root
need ip iproute2
need sysctl procps
case ${1-} in
  up | prepare)
    [ $# = 7 ] || die 2 "usage: tunnel.sh $1 OLD-NAMESPACE OLD-HOST NEW-NAMESPACE NEW-HOST GUEST GUEST-DEVICE"
    kind=$(kind_of "$2")
    tunnel_device "$4" "$5" "$3" "$far" "$near"
    run ip -n "$4" route replace "$6/32" dev "$7"
    tunnel_device "$2" "$3" "$5" "$near" "$far"
    [ "$1" = prepare ] || switch_over "$2" "$6"
    echo "$kind"
    ;;
  switch)
    [ $# = 3 ] || die 2 'usage: tunnel.sh switch OLD-NAMESPACE GUEST'
    switch_over "$2" "$3"
    ;;
  down)
    [ $# = 4 ] || die 2 'usage: tunnel.sh down OLD-NAMESPACE NEW-NAMESPACE GUEST'
    run ip -n "$2" link del "$tunnel"
    run ip -n "$3" link del "$tunnel"
    run ip -n "$3" route del "$4/32"
    ;;
  *) die 2 "tunnel.sh up, prepare, switch or down, not '${1-}'" ;;
esac
