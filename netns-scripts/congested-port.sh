# The switch's port towards the destination: HTB at the link rate, then a queue per PCP or one for all. Sourced by
# up.sh; says commands for tc.
#
# stab overhead 4: the 802.1Q tag travels beside the frame, so the kernel does not count it. With it, the rate and all
# counters mean whole frames, tag and Ethernet header included, checksum (FCS) not.
# Class 1:1 is the only shaper. A leaf's own rate is what it is guaranteed, else as good as nothing (HTB lets it have one
# frame a minute), so that it lives on what 1:1 lends; its ceil is above the link, so that it never holds its own frames
# back. HTB serves what a leaf has of its own before all that is lent, whatever the order.
# The queue of PCP P has the handle 1P: wherever it hangs; with fifo the only queue is 10:. Path N has a shaper of its
# own, 1:N01, and its queues are N1P:. Where flows are kept apart, each has a queue, FN1P:, and HTB gives all flows of a
# PCP their turns, since they have the same place in the order of service: a deficit round robin by frames.

congested_port() {
  [ "$rate" != none ] || return 0
  frame=$((mtu + 18))
  # Credit makes up for a late timer: a millisecond of it, or ten in user-mode Linux, where a processor of the host is
  # away for as long, and often. Less than two frames would never fill the link.
  burst=$((rate / 8000))
  ! in_user_mode_linux || burst=$((burst * 10))
  [ "$burst" -ge $((2 * frame)) ] || burst=$((2 * frame))
  tag='stab overhead 4'
  case " $hostile " in *' strip '*) tag= ;; esac
  say "qdisc add dev destination root handle 1: $tag htb default $default_leaf"
  path=0
  while [ "$path" -lt "$paths" ]; do
    one_path
    path=$((path + 1))
  done
  [ -z "$beside" ] || beside_queues
  dataplane_classifier
}

# Read by the shell itself: each process costs a tenth of a second there.
in_user_mode_linux() {
  while read -r line; do
    case $line in
      vendor_id*'User Mode Linux'*) return 0 ;;
      '') return 1 ;; # the end of the first processor
    esac
  done </proc/cpuinfo
  return 1
}

one_path() {
  prefix=
  [ "$path" = 0 ] && top=1 || top=${path}01
  say "class add dev destination parent 1: classid 1:$top htb" \
    "rate ${rate}bit ceil ${rate}bit burst $burst cburst $burst quantum $frame"
  case $discipline in
    strict | ets) dataplane_queues ;;
    fifo) leaves 0 0 "$frame" ;;
  esac
}

# The queues of a PCP on this path.
leaves() { # PCP PLACE QUANTUM
  for flow in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do
    prefix=${flow#0}$path
    [ "$prefix" != 0 ] || prefix=
    leaf "${prefix}1$1" "$2" "$3"
    queue "1:${prefix}1$1" "$1"
    [ "$flows" = 16 ] || break
  done
}

# A class next to the shaper, which borrows nothing from it and slows nothing in it.
beside_queues() {
  say "class add dev destination parent 1: classid 1:9 htb rate 1gbit burst 100k quantum $frame"
  say "qdisc add dev destination parent 1:9 handle 19: pfifo limit $queue"
  say "filter add dev destination parent 1: protocol all prio 1 u32 match ether dst $beside classid 1:9"
}

leaf() { # MINOR PLACE QUANTUM
  own='rate 8bit burst 1'
  for pair in $guarantees; do
    [ "1${pair%%:*}" != "${1#"$prefix"}" ] || own="rate ${pair#*:}bit burst $((2 * frame))"
  done
  say "class add dev destination parent 1:$top classid 1:$1 htb" \
    "$own ceil $((rate * 4))bit cburst $((burst * 4)) prio $2 quantum $3"
}

# A policed class gets a bucket of its own in place of the plain queue, of as many bytes as the queue has full frames.
queue() { # PARENT PCP, with $prefix before its handle
  for word in $hostile; do
    case $word in
      police="$2":*)
        say "qdisc add dev destination parent $1 handle 1$2: tbf" \
          "rate ${word#*:}bit burst $((2 * frame)) limit $((queue * frame))"
        return
        ;;
    esac
  done
  say "qdisc add dev destination parent $1 handle ${prefix}1$2: pfifo limit $queue"
}

# weight_of PCP: sets $weight from weights='PCP:WEIGHT ...'; 1 when it is not named.
weight_of() {
  weight=1
  for pair in $weights; do
    [ "${pair%%:*}" != "$1" ] || weight=${pair#*:}
  done
}
