import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { compileFilter } from '../../src/analysis/filter.js'
import { decode } from '../../src/capture/decode.js'
import { openCapture } from '../../src/capture/read.js'
import { pcapFile } from '../support/pcap-builder.js'
import { tcpChaos } from '../support/tcp-chaos.js'
import { temporaryFile } from '../support/temporary.js'
import { withoutTshark } from '../support/tshark.js'
import { zoo } from '../support/zoo.js'

/** Numbers of the frames that pass, from 1. */
async function passing(file: string, text: string): Promise<number[]> {
  const filter = compileFilter(text)
  const reader = await openCapture(file)
  const numbers: number[] = []
  let number = 0
  do {
    while (reader.next()) {
      number++
      decode(reader.frame)
      if (filter(reader.frame)) numbers.push(number)
    }
  } while (await reader.fill())
  await reader.close()
  return numbers
}

function tsharkPassing(file: string, text: string): number[] {
  const options = ['-o', 'ip.defragment:FALSE', '-o', 'ipv6.defragment:FALSE']
  const argv = ['-r', file, ...options, '-Y', text, '-T', 'fields', '-e', 'frame.number']
  const lines = execFileSync('tshark', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return lines.split('\n').slice(0, -1).map(Number)
}

/** Each as Pagewire and as tshark write it. */
const filters: readonly (readonly [string, string])[] = [
  ['tcp', 'tcp'],
  ['!tcp', '!tcp'],
  ['udp or arp', 'udp or arp'],
  ['pcp==7 && tcp', 'vlan.priority==7 && tcp'],
  ['vlan.priority in {0,1 6..7}', 'vlan.priority in {0,1,6..7}'],
  ['dscp >= 46', 'ip.dsfield.dscp >= 46 or ipv6.tclass.dscp >= 46'],
  ['ip.dsfield.dscp == 10', 'ip.dsfield.dscp == 10'],
  ['tcp.port == 5000 and not vlan', 'tcp.port == 5000 and not vlan'],
  ['tcp.port != 5000', 'tcp.port != 5000'],
  ['ip.addr == 10.0.0.0/30', 'ip.addr == 10.0.0.0/30'],
  ['ip.src == 10.0.0.2 || ip.dst == 10.0.0.2', 'ip.src == 10.0.0.2 || ip.dst == 10.0.0.2'],
  ['tcp.flags.syn == 1 && tcp.flags.ack == 0', 'tcp.flags.syn == 1 && tcp.flags.ack == 0'],
  ['tcp.len > 700', 'tcp.len > 700'],
  ['frame.len lt 100 and (icmp || ipv6)', 'frame.len < 100 and (icmp || ipv6)'],
  ['tcp.seq_raw == 1000', 'tcp.seq_raw == 1000'],
  ['udp.dstport in {2000 5001}', 'udp.dstport in {2000,5001}'],
  ['ip.proto == 17', 'ip.proto == 17 or ipv6.nxt == 17 or ipv6.hopopts.nxt == 17 or ipv6.fraghdr.nxt == 17'],
  ['icmpv6', 'icmpv6'],
]

for (const [mine, theirs] of filters) {
  test(`filter ${mine} passes the frames that tshark passes`, { skip: withoutTshark }, async (t) => {
    const files = [
      temporaryFile(t, 'zoo.pcap', zoo().get('nano-little.pcap')!),
      temporaryFile(t, 'chaos.pcap', pcapFile(tcpChaos(3, 3, 60))),
    ]
    for (const file of files) {
      assert.deepEqual(await passing(file, mine), tsharkPassing(file, theirs))
    }
  })
}

test('what cannot be understood is refused with its column and, for a field, with the known ones', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /column 1: a field is missing/],
    ['tpc', /column 1: there is no field 'tpc'/],
    ['tcp &&', /column 7: a field is missing/],
    ['tcp == ', /a value is missing/],
    ['pcp == seven', /column 8: 'seven' is not a number/],
    ['(tcp', /column 5: '\)' is missing/],
    ['tcp)', /column 4: '\)' is not expected/],
    ['tcp § udp', /column 5: this cannot be read/],
    ['ip.addr == 300.0.0.1', /not an IPv4 address/],
    ['!'.repeat(5000), /too deeply nested/],
  ]
  for (const [text, message] of cases) {
    assert.throws(() => compileFilter(text), { exit: 2, message }, text.slice(0, 20))
  }
})
