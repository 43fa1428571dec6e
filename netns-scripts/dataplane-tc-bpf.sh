# Dataplane tc-bpf: an eBPF object on clsact tags and untags at the hosts, and names the class at the congested port.
# Works on any kernel with cls_bpf; needs neither VLAN devices nor bridge vlan_filtering. Sourced by up.sh.

dataplane_check() {
  [ -f "$object" ] || die 3 "$object is missing; compile it with: netns-scripts/compile-bpf.sh $object"
}

# dataplane_device VLAN: the host's device that holds the address of a VLAN.
dataplane_device() {
  echo uplink
}

dataplane_host() { # NAMESPACE
  run tc -n "$1" qdisc add dev uplink clsact
  run tc -n "$1" filter add dev uplink egress protocol all prio 1 bpf direct-action object-file "$object" section host_egress
  run tc -n "$1" filter add dev uplink ingress protocol all prio 1 bpf direct-action object-file "$object" section host_ingress
}

# Without direct-action the program's return value is the class itself.
dataplane_classify() { # NAMESPACE DEVICE PARENT
  run tc -n "$1" filter add dev "$2" parent "$3" protocol all prio 1 bpf object-file "$object" section by_pcp
}
