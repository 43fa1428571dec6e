# The switch's port towards the destination: HTB at the link rate, then a queue per PCP or one for all. Sourced by
# up.sh; says commands for tc.
#
# stab overhead 4: the 802.1Q tag travels beside the frame, so the kernel does not count it. With it, the rate and all
# counters mean whole frames, tag and Ethernet header included, checksum (FCS) not.
# Class 1:1 is the only shaper. A leaf's own rate is as good as nothing (HTB lets it have one frame a minute), so that
# it lives on what 1:1 lends; its ceil is above the link, so that it never holds its own frames back.
# The queue of PCP P has the handle 1P: wherever it hangs; with fifo the only queue is 10:.

congested_port() {
  [ "$rate" != none ] || return 0
  frame=$((mtu + 18))
  # A millisecond of credit makes up for a late timer; less than two frames would never fill the link.
  burst=$((rate / 8000))
  [ "$burst" -ge $((2 * frame)) ] || burst=$((2 * frame))
  tag='stab overhead 4'
  case " $hostile " in *' strip '*) tag= ;; esac
  say "qdisc add dev destination root handle 1: $tag htb default $default_leaf"
  say "class add dev destination parent 1: classid 1:1 htb" \
    "rate ${rate}bit ceil ${rate}bit burst $burst cburst $burst quantum $frame"
  [ -z "$beside" ] || beside_queues
  case $discipline in
    strict | ets) dataplane_queues ;;
    fifo)
      leaf 10 0 "$frame"
      queue 1:10 0
      ;;
  esac
}

# A class next to the shaper, which borrows nothing from it and slows nothing in it.
beside_queues() {
  say "class add dev destination parent 1: classid 1:9 htb rate 1gbit burst 100k quantum $frame"
  say "qdisc add dev destination parent 1:9 handle 19: pfifo limit $queue"
  say "filter add dev destination parent 1: protocol all prio 1 u32 match ether dst $beside classid 1:9"
}

leaf() { # MINOR PLACE QUANTUM
  say "class add dev destination parent 1:1 classid 1:$1 htb" \
    "rate 8bit burst 1 ceil $((rate * 4))bit cburst $((burst * 4)) prio $2 quantum $3"
}

# A policed class gets a bucket of its own in place of the plain queue, of as many bytes as the queue has full frames.
queue() { # PARENT PCP
  for word in $hostile; do
    case $word in
      police="$2":*)
        say "qdisc add dev destination parent $1 handle 1$2: tbf" \
          "rate ${word#*:}bit burst $((2 * frame)) limit $((queue * frame))"
        return
        ;;
    esac
  done
  say "qdisc add dev destination parent $1 handle 1$2: pfifo limit $queue"
}

# weight_of PCP: sets $weight from weights='PCP:WEIGHT ...'; 1 when it is not named.
weight_of() {
  weight=1
  for pair in $weights; do
    [ "${pair%%:*}" != "$1" ] || weight=${pair#*:}
  done
}
