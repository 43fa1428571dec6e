# Dataplane vlan: what a usual lab box does by itself. VLAN devices tag by their qos maps, a bridge that filters VLANs
# keeps the two networks apart, prio (or ets, or drr) queues by the tag. Sourced by up.sh.
# What these functions say is for ip, bridge or tc in batch mode.

dataplane_check() {
  : # needs no file, and what the kernel lacks shows at the first command
}

# All devices of a host, the options of the bridge, and the leaf of HTB that takes a frame no filter claims: with one
# queue for all the queue, else the bands.
cards=uplink
for vlan in $vlans; do cards="$cards uplink.$vlan"; done
bridge_options='vlan_filtering 1 vlan_default_pvid 0'
[ "$discipline" = fifo ] && default_leaf=10 || default_leaf=2

# dataplane_device VLAN: sets $device, the host's device that holds the address of a VLAN.
dataplane_device() {
  device=uplink.$1
}

# The egress map is the marking table itself: a frame's priority is its DSCP (see dataplane_marks), what the map does
# not name leaves with PCP 0.
dataplane_devices() {
  map=
  dscp=0
  for pcp in $marks; do
    map="$map $dscp:$pcp"
    dscp=$((dscp + 1))
  done
  for vlan in $vlans; do
    say "link add link uplink name uplink.$vlan type vlan id $vlan" \
      "egress-qos-map$map ingress-qos-map 0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7"
  done
}

# IP_TOS alone would give the kernel's own idea of a priority (EF 4, CS1 to CS7 0). skbedit makes the DSCP the frame's
# priority, whatever the socket said.
dataplane_marks() {
  for vlan in $vlans; do
    say "qdisc add dev uplink.$vlan clsact"
    say "filter add dev uplink.$vlan egress protocol all prio 1 matchall action skbedit priority 0 inheritdsfield"
  done
  case " $hostile " in *' strip '*) ;; *) return 0 ;; esac
  # Frames whose tag the switch took off belong to the VLAN of their address.
  say "qdisc add dev uplink clsact"
  for vlan in $vlans; do
    say "filter add dev uplink ingress protocol ip prio $vlan flower dst_ip 10.77.$vlan.0/24 action vlan push id $vlan"
  done
}

dataplane_ports() {
  for host in $hosts; do
    number_of "$host"
    for vlan in $vlans; do
      say "vlan add dev $host vid $vlan"
      say "fdb replace $mac dev $host master static vlan $vlan"
    done
  done
}

# One leaf of HTB holds a qdisc of eight bands; band N is the Nth in order of service, 2:N its class.
dataplane_queues() {
  band_of 0
  default_band=$band
  priomap=
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do priomap="$priomap $((band - 1))"; done
  leaf 2 0 "$frame"
  case $discipline in
    strict) say "qdisc add dev destination parent 1:2 handle 2: prio bands 8 priomap$priomap" ;;
    ets) shared_bands ;;
  esac
  for pcp in $order; do
    band_of "$pcp"
    queue "2:$band" "$pcp"
    say "filter add dev destination parent 2: protocol 802.1Q prio 1 flower vlan_prio $pcp classid 2:$band"
  done
}

dataplane_classifier() {
  : # the filters are those of the bands
}

# The kernel's ets where it has it, drr otherwise: both serve the bands in turn, each its quantum of bytes.
shared_bands() {
  quanta=
  for pcp in $order; do
    weight_of "$pcp"
    quanta="$quanta $((weight * frame))"
  done
  if has_ets; then
    say "qdisc add dev destination parent 1:2 handle 2: ets bands 8 quanta$quanta priomap$priomap"
    return
  fi
  say "qdisc add dev destination parent 1:2 handle 2: drr"
  band=1
  for quantum in $quanta; do
    say "class add dev destination parent 2: classid 2:$band drr quantum $quantum"
    band=$((band + 1))
  done
  # drr drops what no filter claims; an untagged frame is best effort.
  say "filter add dev destination parent 2: protocol all prio 2 matchall classid 2:$default_band"
}

has_ets() {
  tc -n "$switch" qdisc add dev lo root ets bands 8 2>/dev/null || return 1
  run tc -n "$switch" qdisc delete dev lo root
}

# band_of PCP: sets $band, its place in the order of service from 1.
band_of() {
  band=1
  for other in $order; do
    [ "$other" != "$1" ] || break
    band=$((band + 1))
  done
}

# What a hostile switch does to frames as they leave it.
dataplane_hostile() { # HOST WORD
  case $2 in
    bleach)
      say "filter add dev $1 egress protocol 802.1Q prio 11 flower vlan_ethtype ipv4" \
        "action pedit ex munge ip dsfield set 0 retain 0xfc pipe action csum ip continue"
      ;;
    remark=[0-7])
      for vlan in $vlans; do
        say "filter add dev $1 egress protocol 802.1Q prio $vlan flower vlan_id $vlan" \
          "action vlan modify id $vlan priority ${2#remark=} continue"
      done
      ;;
    strip) say "filter add dev $1 egress protocol 802.1Q prio 300 matchall action vlan pop" ;;
    *) die 2 "unknown hostility '$2'" ;;
  esac
}
