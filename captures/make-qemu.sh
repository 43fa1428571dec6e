#!/bin/sh
# Records two live migrations of a real QEMU (Debian: qemu-system-x86) over loopback, in a namespace of its own:
# captures/qemu-precopy.pcap.gz and captures/qemu-postcopy.pcap.gz. Needs root, takes half a minute.
#
# The guest has no operating system: its BIOS is the 20 bytes below, which write a counter to 128 pages in turn.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
namespace=pw-qemu-$$
started=

clean_up() {
	for process in $started; do kill "$process" 2>/dev/null || true; done
	wait
	ip netns delete "$namespace" 2>/dev/null || true
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# At F000:0000, 64 KiB below 1 MiB:
#   fa         cli                 05 00 01  add ax, 0x100     next page
#   b8 00 10   mov ax, 0x1000      3d 00 90  cmp ax, 0x9000
#   8e d8      mov ds, ax          72 ed     jb (mov ds, ax)
#   ff 06 0000 inc word [0]        eb e8     jmp (mov ax, 0x1000)
#   b9 00 00   mov cx, 0           e2 fe     loop .            65,536 times round: a pause
# and at F000:fff0, where the processor starts: ea 00 00 00 f0, jmp f000:0000
{
	printf '\372\270\000\020\216\330\377\006\000\000\271\000\000\342\376\005\000\001\075\000\220\162\355\353\350'
	dd if=/dev/zero bs=1 count=$((65520 - 25)) 2>/dev/null
	printf '\352\000\000\000\360\000\000\000\000\000\000\000\000\000\000\000'
} >"$scratch/bios"

# name, then more options; its monitor reads the pipe $scratch/NAME.
qemu() {
	name=$1
	shift
	mkfifo "$scratch/$name"
	# shellcheck disable=SC2094
	ip netns exec "$namespace" qemu-system-x86_64 -M pc -accel tcg -m 8 -nodefaults -display none -serial none -parallel none \
		-bios "$scratch/bios" -monitor stdio "$@" <>"$scratch/$name" >"$scratch/$name.log" 2>&1 &
	started="$started $!"
}

record() {
	out=$1
	rate=$2
	postcopy=$3
	ip netns exec "$namespace" tcpdump -i lo -s 0 -B 16384 -U --time-stamp-precision=nano -w "$scratch/$out" tcp port 4444 2>/dev/null &
	tcpdump=$!
	started="$started $tcpdump"
	qemu "$out-to" -incoming tcp:127.0.0.1:4444
	destination=$!
	qemu "$out-from"
	origin=$!
	sleep 3
	if [ "$postcopy" = yes ]; then
		for end in to from; do echo 'migrate_set_capability postcopy-ram on' >"$scratch/$out-$end"; done
	fi
	echo "migrate_set_parameter max-bandwidth $rate" >"$scratch/$out-from"
	echo 'migrate -d tcp:127.0.0.1:4444' >"$scratch/$out-from"
	sleep 1
	if [ "$postcopy" = yes ]; then echo 'migrate_start_postcopy' >"$scratch/$out-from"; fi
	sleep 5
	echo 'info migrate' >"$scratch/$out-from"
	sleep 1
	# What QEMU itself says, beside the capture: pages sent whole, and pages that were zero.
	sed -n 's/^\(Migration status\|normal\|duplicate\|downtime\): /\1 /p' "$scratch/$out-from.log"
	kill "$origin" "$destination"
	wait "$origin" "$destination" || true
	# A moment for what tcpdump has not written yet.
	sleep 1
	kill -INT "$tcpdump"
	wait "$tcpdump" || true
	gzip -9nc "$scratch/$out" >"$out.gz"
}

ip netns add "$namespace"
ip -n "$namespace" link set lo up
record qemu-precopy.pcap 16m no
record qemu-postcopy.pcap 256k yes
