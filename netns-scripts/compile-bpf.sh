#!/bin/sh
# Compiles the tc-bpf dataplane.
#
#   netns-scripts/compile-bpf.sh OUT [PCP of DSCP 0] ... [PCP of DSCP 63]
#
# Without numbers the default marking table is asked (needs the built program). OUT appears whole or not at all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -ge 1 ] || die 2 "usage: compile-bpf.sh OUT [64 numbers]"
out=$1
shift
[ $# -gt 0 ] || set -- $(marking pcp-by-dscp)
[ $# -eq 64 ] || die 2 "the marking table has $# numbers, not 64"
for pcp in "$@"; do
  case $pcp in [0-7]) ;; *) die 2 "'$pcp' is not a PCP (0 to 7)" ;; esac
done

need clang clang
table=$(echo "$@" | tr ' ' ',')
mkdir -p "$(dirname "$out")"
# A target of its own hides the host's headers: Debian keeps asm/ under the multiarch name.
multiarch=$(gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu")
# -g: the maps are described by debug information (BTF).
run clang -O2 -g -Wall -Werror -target bpf -I "/usr/include/$multiarch" "-DPCP_BY_DSCP=$table" \
  -c "$here/bpf/lab.c" -o "$out.tmp$$"
run mv "$out.tmp$$" "$out"
