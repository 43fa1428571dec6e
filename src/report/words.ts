/** The definitions that every report carries. */

export const metricDefinitions: readonly (readonly [name: string, meaning: string])[] = [
  ['throughput', 'bits of whole frames per second, Ethernet header and tag included, FCS not (Mbit/s)'],
  ['goodput', 'bits of page payload per second (Mbit/s)'],
  [
    'loss',
    'frames seen at the entry of the congested port and never at its exit, duplicates matched one to one (%)',
  ],
  ['retransmits', 'TCP segments whose sequence space was seen before'],
  [
    'queueing delay, round trip',
    'from the entry of the congested port to its exit, of one and the same frame; from a segment to its acknowledgement; both of what ended while the migration ran (ms)',
  ],
  ['total time', 'start of the migration to source released (ms)'],
  ['downtime', 'guest suspended at the source to guest running at the destination (ms)'],
  ['outage', 'the longest gap that a client of the guest saw (ms)'],
  ['measured, predicted', 'on real frames in network namespaces; by the model in virtual time'],
]
