# The switch's port towards the destination: HTB at the link rate, then a queue per PCP or one for all. Sourced by up.sh.
#
# stab overhead 4: the 802.1Q tag travels beside the frame, so the kernel does not count it. With it, the rate and all
# counters mean whole frames, tag and Ethernet header included, checksum (FCS) not.
# Class 1:1 is the only shaper. A leaf's own rate is as good as nothing (HTB lets it have one frame a minute), so that
# it lives on what 1:1 lends, in order of prio; its ceil is above the link, so that it never holds its own frames back.

congested_port() {
  [ "$rate" != none ] || return 0
  frame=$((mtu + 18))
  # A millisecond of credit makes up for a late timer; less than two frames would never fill the link.
  burst=$((rate / 8000))
  [ "$burst" -ge $((2 * frame)) ] || burst=$((2 * frame))
  run tc -n "$switch" qdisc add dev destination root handle 1: stab overhead 4 htb default 10
  run tc -n "$switch" class add dev destination parent 1: classid 1:1 htb \
    rate "${rate}bit" ceil "${rate}bit" burst "$burst" cburst "$burst" quantum "$frame"
  case $discipline in
    strict) strict_queues ;;
    fifo) add_queue 10 0 ;;
  esac
}

# Class 1:1P holds PCP P.
strict_queues() {
  place=0
  for pcp in $order; do
    add_queue "1$pcp" "$place"
    place=$((place + 1))
  done
  [ "$place" = 8 ] || die 2 "order='$order' does not name eight PCPs"
  dataplane_classify "$switch" destination 1:
}

add_queue() { # MINOR PLACE
  run tc -n "$switch" class add dev destination parent 1:1 classid "1:$1" htb \
    rate 8bit burst 1 ceil "$((rate * 4))bit" cburst "$((burst * 4))" prio "$2" quantum "$frame"
  run tc -n "$switch" qdisc add dev destination parent "1:$1" handle "$1:" pfifo limit "$queue"
}
