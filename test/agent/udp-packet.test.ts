/** The checksum that is patched together equals the one that is taken over the whole packet. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UdpPacket } from '../../src/agent/udp-packet.js'
import { random } from '../../src/support/random.js'

/** RFC 768: with the right checksum in place, pseudo header and datagram sum to all ones. */
function sumOfAll(packet: Buffer): number {
  const datagram = packet.subarray(20)
  const odd = Buffer.concat([
    packet.subarray(12, 20),
    Buffer.from([0, 17]),
    datagram.subarray(4, 6),
    datagram,
  ])
  const whole = odd.length % 2 === 0 ? odd : Buffer.concat([odd, Buffer.alloc(1)])
  let sum = 0
  for (let at = 0; at < whole.length; at += 2) {
    sum += whole.readUInt16BE(at)
    if (sum > 0xffff) sum -= 0xffff
  }
  return sum
}

for (const packetBytes of [48, 101, 1500, 9000]) {
  test(`packets of ${packetBytes} bytes have right checksums, whatever changes in them`, () => {
    const seed = packetBytes
    const dice = random(seed)
    const packet = new UdpPacket({
      source: { host: '10.77.200.3', port: 20_001 },
      destination: { host: '10.77.200.2', port: 40_000 },
      dscp: 46,
      packetBytes,
      variableBytes: 20,
    })
    for (let i = 0; i < 300; i++) {
      for (let at = 0; at < 20; at += 4) packet.payload.writeUInt32BE(dice.uint32(), at)
      packet.seal(dice.below(65_536))
      assert.equal(sumOfAll(packet.bytes), 0xffff, `seed ${seed}`)
      assert.notEqual(packet.bytes.readUInt16BE(26), 0)
    }
    assert.equal(packet.bytes.readUInt8(1), 46 << 2)
  })
}
