/** The captures of the repository: what their numbers are, to us, to tshark, and to the runs that they are of. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { pagewire } from '../cli/cli.js'
import { tsharkFields, withoutTshark } from '../support/tshark.js'
import { capturesDirectory, type ExpectedClass, readExpected } from './expected.js'

const expected = Object.entries(readExpected())
const path = (name: string): string => join(capturesDirectory, name)

const byMark = (a: ExpectedClass, b: ExpectedClass): number => markText(a).localeCompare(markText(b))
const markText = ({ vlan, pcp, dscp }: ExpectedClass): string => `${vlan} ${pcp} ${dscp}`

for (const [name, numbers] of expected) {
  test(`${name}: the numbers are those of expected.json`, async () => {
    const { code, stdout } = await pagewire(['analyze', path(name), '--json'])
    assert.equal(code, numbers.truncated_at === undefined ? 0 : 2)
    const { files, classes, migration } = JSON.parse(stdout)
    const { format, packets, bytes, truncated_at } = files[0]
    assert.deepEqual(
      { format, packets, bytes, truncated_at },
      {
        ...{ format: numbers.format, packets: numbers.packets, bytes: numbers.bytes },
        truncated_at: numbers.truncated_at,
      },
    )
    const seen = classes.map(({ vlan, pcp, dscp, packets: count, bytes: size }: ExpectedClass & object) => ({
      ...{ vlan, pcp, dscp },
      ...{ packets: count, bytes: size },
    }))
    assert.deepEqual(seen, numbers.classes)
    if (numbers.migration === undefined) return
    assert.equal(migration.protocol, numbers.migration.protocol)
    assert.equal(migration.pages.sent, numbers.migration.pages_sent)
    assert.equal(migration.pages.unique, numbers.migration.pages_unique)
    assert.deepEqual(
      migration.rounds.map(({ phase, pages }: { phase: string; pages: number }) => ({ phase, pages })),
      numbers.migration.rounds,
    )
  })

  test(`${name}: tshark counts the same frames, bytes and classes`, { skip: withoutTshark }, () => {
    const rows = tsharkFields(path(name), ['frame.len', 'vlan.id', 'vlan.priority', 'ip.dsfield.dscp'])
    const classes = new Map<string, ExpectedClass>()
    const number = (text: string | undefined): number | null => (text ? Number(text) : null)
    for (const [length, vlan, pcp, dscp] of rows) {
      const mark = { vlan: number(vlan), pcp: number(pcp), dscp: number(dscp) }
      const key = `${mark.vlan} ${mark.pcp} ${mark.dscp}`
      const { packets = 0, bytes = 0 } = classes.get(key) ?? {}
      classes.set(key, { ...mark, packets: packets + 1, bytes: bytes + Number(length) })
    }
    assert.equal(rows.length, numbers.packets)
    assert.deepEqual([...classes.values()].toSorted(byMark), numbers.classes.toSorted(byMark))
  })
}

test('the pages that the agents counted are the pages on the wire', () => {
  const whole = expected.find(([name]) => name === 'whole.pcap.gz')?.[1]
  assert.ok(whole?.run && whole.migration)
  assert.equal(whole.migration.pages_sent, whole.run.pages_sent)
})

test('what two captures lack of each other is what the queues dropped', async () => {
  const after = expected.find(([name]) => name === 'lossy-after.pcap.gz')?.[1]
  assert.ok(after?.run)
  const files = ['lossy-before.pcap.gz', 'lossy-after.pcap.gz'].map(path)
  const { stdout } = await pagewire(['analyze', ...files, '--json'])
  const [pair] = JSON.parse(stdout).pairs
  const lost = pair.classes.reduce((sum: number, row: { lost: number }) => sum + row.lost, 0)
  assert.equal(lost, after.run.dropped_by_queues)
})
