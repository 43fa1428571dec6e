/** The default scenario as text: what `pagewire scenario` prints and what `run` uses without a file. */

export const defaultScenarioText = `# A Pagewire scenario. Keys that you leave out take the values shown here, except
# cross_traffic: without it there is none. Check a file with: pagewire scenario FILE
name: priority-under-cross-traffic
seed: 1                       # of everything random: same seed, same guest, same traffic

link:                         # the congested port: the switch port towards the destination
  rate: 200mbit               # decimal, in bits of whole frames
  discipline: strict          # strict: eight PCP queues | ets: shared by weights | fifo: no QoS
  queue: 256                  # packets that each queue holds
  mtu: 1500                   # bytes of the largest IP packet

guest:
  memory: 64MiB               # up to 64GiB
  page_size: 4KiB
  device_state: 256KiB        # sent while the guest is suspended
  workload:
    kind: hot                 # idle | cycle | iid | hot | scan
    dirty_ratio: 0.5          # bytes dirtied per byte the idle link can carry; or dirty_rate: 3000 pages/s
    working_set: 10%          # of memory, or a size; hot_share: 90% of the writes go there
  content: { kind: random }   # zero | random

migration:
  strategy: pre-copy          # a wrong name is answered with the list
  options: { profile: xen42 } # a wrong word is answered with the list
  marking:                    # traffic class per lane: CS7, EF, AF41, LE, ... or a DSCP; best-effort = unmarked
    bulk: CS7                 # pages copied while the guest runs
    final: CS7                # the rest, while it is suspended
  max_total_time: 120s        # then aborted: a result, the guest runs on at the source
  congestion_control: cubic

cross_traffic:                # what competes for the port; from: neighbour | source, start and stop: a duration
  - { kind: udp-cbr, rate: 120mbit, class: best-effort }
  - { kind: tcp-bulk, flows: 2, class: best-effort }

client:                       # asks the guest over the tenants' network: the outage is its longest gap
  rate: 1000                  # questions per second; 0: nobody asks
  class: best-effort          # of questions and answers
  port: congested             # once the guest has moved, questions share the congested port | own: they do not
  network: same               # other: the guest gets a new address, and a tunnel carries its old connections

capture: { snaplen: 128 }     # bytes kept of each frame
dataplane: auto               # auto: what the box can do | vlan | tc-bpf
`
