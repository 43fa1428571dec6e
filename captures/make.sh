#!/bin/sh
# Makes the captures of Pagewire's own runs again, and expected.json for all captures here. Needs root and a built
# program; takes about a minute. The migrations are small and the frames cut at 96 bytes, so that the files are small.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pagewire="node ../build/src/cli/main.js"

# name, then settings: a run under $scratch/NAME. On a busy machine it may be invalid (5); its frames are true even so.
run() {
	name=$1
	shift
	$pagewire run small.yaml --quiet --force --out "$scratch/$name" "$@" >/dev/null || [ $? -eq 5 ]
}

# run, capture point, name: one of its captures, compressed.
keep() { gzip -9nc "$scratch/$1/captures/$2.pcap" >"$3.pcap.gz"; }

run marked
run unmarked --set migration.marking.bulk=best-effort --set migration.marking.final=best-effort
run fifo --set link.discipline=fifo
run lossy --set cross_traffic.0.rate=14mbit --set link.queue=16
run whole --set cross_traffic= --set capture.snaplen=65535 --set guest.content.kind=regular

keep marked switch-out marked
keep unmarked switch-out unmarked
keep fifo switch-out fifo
keep lossy switch-in lossy-before
keep lossy switch-out lossy-after
keep whole source whole
# Two interfaces in one file: both hosts of the marked run.
mergecap -F pcapng -w "$scratch/two-hosts" "$scratch/marked/captures/source.pcap" "$scratch/marked/captures/destination.pcap"
gzip -9nc "$scratch/two-hosts" >two-hosts.pcapng.gz
# Cut in mid-record, as by a full disk.
head -c 30000 "$scratch/unmarked/captures/source.pcap" >cut.pcap

node ../build/test/captures/describe.js "$scratch" >expected.json.new
mv expected.json.new expected.json
