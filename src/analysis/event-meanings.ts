/** The events of `analyze --events`: their names and fields, as the help shows them. */

/** Every event, with its fields beyond `file`, `at_s` and `event`. */
export const eventMeanings: ReadonlyMap<string, string> = new Map([
  ['flow-begin', 'flow, protocol, a, b, vlan, pcp, dscp: the first frame of a flow, from a'],
  ['flow-end', 'flow, reason (fin, reset or capture-end), packets, bytes'],
  ['mark-change', 'flow, from, before, after: a direction whose VLAN, PCP or DSCP is another than before'],
  ['retransmission', 'flow, from, bytes, repeated_bytes; like the next three as Wireshark judges it'],
  ['fast-retransmission', ''],
  ['spurious-retransmission', ''],
  ['out-of-order', ''],
  ['repeated-segment', 'flow, from, bytes, repeated_bytes: seen before, and none of those'],
  ['lost-segment', 'flow, from: a segment before this one was not captured'],
  ['duplicate-ack', 'flow, from'],
  ['zero-window', 'flow, from: the receiver takes no more'],
  ['zero-window-end', 'flow, from, zero_ms'],
  ['window-full', 'flow, from: the sender has filled the window'],
  ['keep-alive', 'flow, from'],
  ['migration-begin', 'migration, protocol, source, destination: its first page'],
  ['round-begin', 'migration, round, phase'],
  [
    'round-end',
    'migration, round, phase, pages, zero_pages, repeated_pages, bytes; told when the next one begins',
  ],
  ['stop-and-copy', 'migration: the guest is stopped; at_s is where that round began, told when it is known'],
  ['migration-mark', 'migration, what: a step that the protocol names, such as the handover'],
  ['migration-end', 'migration, pages, rounds; at the end of the capture if the protocol did not say'],
])
