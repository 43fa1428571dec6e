/** What the guest's network card answers, byte by byte as the peer reads it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UdpPacket } from '../../src/agent/udp-packet.js'
import { type GuestCard, GuestFrames } from '../../src/capture/guest-card.js'
import { ethernet } from '../support/pcap-builder.js'

const card: GuestCard = {
  mac: '02:70:77:00:01:00',
  address: '10.77.200.100',
  port: 7,
  vlan: 200,
  dscp: 46,
  pcp: 5,
  host: 2,
}
const clientMac = '02:70:77:00:00:04'
const tag = { vlan: 200, pcp: 0 }

/** A question as the client's kernel sends it. */
function question({ port = 7, length = 72, vlan = 200 } = {}): Uint8Array {
  const packet = new UdpPacket({
    source: { host: '10.77.200.4', port: 40_000 },
    destination: { host: card.address, port },
    dscp: 10,
    packetBytes: 28 + length,
    variableBytes: 16,
  })
  for (let i = 0; i < 12; i++) packet.payload[i] = 17 * i
  packet.seal(77)
  packet.bytes.writeUInt16BE(28 + length, 2)
  packet.bytes.writeUInt16BE(~sum(packet.bytes.subarray(0, 20)) & 0xffff, 10)
  const tags = [{ ...tag, vlan }]
  return ethernet({ destinationMac: card.mac, sourceMac: clientMac, tags }, 0x0800, packet.bytes)
}

function sum(bytes: Uint8Array): number {
  let total = 0
  for (const [i, byte] of bytes.entries()) total += i % 2 === 0 ? byte << 8 : byte
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return total
}

function answer(bytes: Uint8Array): Buffer | undefined {
  const found = new GuestFrames(card).answer(bytes, bytes.length)
  return found && Buffer.from(found)
}

test('a question comes back with the guest’s own addresses and mark, and says which host answered', () => {
  const asked = Buffer.from(question())
  const back = answer(asked)
  assert.ok(back !== undefined)
  assert.equal(back.length, asked.length)
  assert.equal(back.toString('hex', 0, 12), '0270770000040270770001' + '00')
  assert.equal(back.readUInt16BE(14), (5 << 13) | 200)
  const ip = back.subarray(18)
  assert.equal(ip[1], 46 << 2)
  assert.deepEqual([...ip.subarray(12, 20)], [10, 77, 200, 100, 10, 77, 200, 4])
  assert.deepEqual([ip.readUInt16BE(20), ip.readUInt16BE(22)], [7, 40_000])
  assert.equal(ip.readUInt16BE(28 + 12), 2)
  assert.deepEqual(ip.subarray(28, 40), asked.subarray(46, 58), 'the rest of the payload is the client’s')
})

test('in another network it answers at both of its addresses, without a tag', () => {
  const { vlan: _vlan, ...untagged } = card
  const frames = new GuestFrames({ ...untagged, address: '10.78.1.10', newAddress: card.address })
  const tagged = Buffer.from(question())
  const plain = Buffer.concat([tagged.subarray(0, 12), tagged.subarray(16)])
  const back = frames.answer(plain, plain.length)
  assert.equal(back?.length, plain.length)
  assert.equal(back?.readUInt16BE(12), 0x0800)
  assert.deepEqual([...back.subarray(14 + 12, 14 + 16)], [10, 77, 200, 100], 'where it was asked')
  assert.equal(frames.answer(tagged, tagged.length), undefined, 'somebody else’s VLAN')
  assert.equal(frames.announcement().readUInt16BE(12), 0x0806)
})

test('checksums of the answer hold', () => {
  for (const length of [16, 17, 72, 1472]) {
    const ip = answer(question({ length }))?.subarray(18)
    assert.ok(ip !== undefined)
    assert.equal(sum(ip.subarray(0, 20)), 0xffff, 'IP header')
    const pseudo = Buffer.from([...ip.subarray(12, 20), 0, 17, ...ip.subarray(24, 26)])
    const total = sum(pseudo) + sum(ip.subarray(20))
    assert.equal((total & 0xffff) + (total >>> 16), 0xffff, `UDP of ${length} bytes`)
  }
})

test('who asks for the guest’s address is told its MAC, and nobody else', () => {
  const request = (address: readonly number[]): Uint8Array =>
    ethernet(
      { destinationMac: 'ff:ff:ff:ff:ff:ff', sourceMac: clientMac, tags: [tag] },
      0x0806,
      Uint8Array.from([
        0,
        1,
        8,
        0,
        6,
        4,
        0,
        1,
        2,
        0x70,
        0x77,
        0,
        0,
        4,
        10,
        77,
        200,
        4,
        0,
        0,
        0,
        0,
        0,
        0,
        ...address,
      ]),
    )
  const reply = answer(request([10, 77, 200, 100]))
  assert.equal(
    reply?.toString('hex'),
    '027077000004' +
      '027077000100' +
      '810000c8' +
      '0806' +
      '0001080006040002' +
      '027077000100' +
      '0a4dc864' +
      '027077000004' +
      '0a4dc804',
  )
  assert.equal(answer(request([10, 77, 200, 1])), undefined)
})

test('the announcement is a gratuitous ARP to everybody', () => {
  const frame = new GuestFrames(card).announcement()
  assert.equal(
    frame.toString('hex'),
    'ffffffffffff' +
      '027077000100' +
      '810000c8' +
      '0806' +
      '0001080006040001' +
      '027077000100' +
      '0a4dc864' +
      '000000000000' +
      '0a4dc864',
  )
})

test('what is not for the guest, or broken, is not answered', () => {
  const good = question()
  assert.equal(answer(question({ port: 8 })), undefined)
  assert.equal(answer(question({ vlan: 100 })), undefined)
  for (let length = 0; length < good.length; length++) {
    assert.equal(answer(good.subarray(0, length)), undefined, `${length} bytes`)
  }
  const fragment = Buffer.from(good)
  fragment.writeUInt16BE(0x2000, 18 + 6)
  assert.equal(answer(fragment), undefined)
  const other = Buffer.from(good)
  other[18 + 19] = 99
  assert.equal(answer(other), undefined)
})
