# Dataplane tc-bpf: an eBPF object on clsact tags and untags at the hosts, and names the class at the congested port.
# Works on any kernel with cls_bpf; needs neither VLAN devices nor bridge vlan_filtering. Sourced by up.sh.
# What these functions say is for ip, bridge or tc in batch mode.

dataplane_check() {
  [ -f "$object" ] || die 3 "$object is missing; compile it with: netns-scripts/compile-bpf.sh $object"
  [ -z "$delay$loss" ] || die 3 "delay, jitter, loss and reorder need netem, which this dataplane makes do without;" \
    "use dataplane vlan on a kernel that has 8021q and netem"
}

# All devices of a host, the options of the bridge (a plain one carries tagged frames as they are), and the leaf of
# HTB that takes a frame no filter claims.
cards=uplink
bridge_options=
default_leaf=10

# dataplane_device VLAN: sets $device, the host's device that holds the address of a VLAN.
dataplane_device() {
  device=uplink
}

dataplane_devices() {
  : # the veth is enough
}

dataplane_marks() {
  ingress=host_ingress
  case " $hostile " in *' strip '*) ingress=host_ingress_any ;; esac
  say "qdisc add dev uplink clsact"
  program uplink egress 1 host_egress
  program uplink ingress 1 "$ingress"
}

program() { # DEVICE DIRECTION PRIO SECTION
  say "filter add dev $1 $2 protocol all prio $3 bpf direct-action object-file $object section $4"
}

dataplane_ports() {
  for host in $hosts; do
    number_of "$host"
    say "fdb replace $mac dev $host master static"
  done
}

# A leaf of HTB per PCP: 1:1P holds PCP P. Served strictly by place, or in turn by quantum.
dataplane_queues() {
  place=0
  for pcp in $order; do
    case $discipline in
      strict) leaves "$pcp" "$place" "$frame" ;;
      ets)
        weight_of "$pcp"
        leaves "$pcp" 0 "$((weight * frame))"
        ;;
    esac
    place=$((place + 1))
  done
}

dataplane_classifier() {
  case $discipline$paths$flows in
    fifo11) return 0 ;; # one queue
    fifo?1) section=by_path ;;
    fifo*) section=by_flow ;;
    *1) section=by_pcp ;;
    *) section=by_pcp_and_flow ;;
  esac
  # Without direct-action the program's return value is the class itself.
  say "filter add dev destination parent 1: protocol all prio 2 bpf object-file $object section $section"
}

# What a hostile switch does to frames as they leave it.
dataplane_hostile() { # HOST WORD
  case $2 in
    bleach) program "$1" egress 11 port_bleach ;;
    remark=[0-7]) program "$1" egress 12 "port_remark_${2#remark=}" ;;
    strip) program "$1" egress 13 port_strip ;;
    *) die 2 "unknown hostility '$2'" ;;
  esac
}
