/** What a client of the guest saw around the handover: answered and unanswered questions, and what happened when. */

import * as Plot from '@observablehq/plot'
import { moments, type OutageResult } from '../experiment/result.js'
import { figure, type KeyEntry, look } from './figure.js'
import { escapeHtml, number, type Section, table } from './html.js'

export function outageSection(outage: OutageResult): Section {
  const { client_ms, wire, probes_sent, probes_lost, rate_per_s, class: name, open } = outage
  const onWire = wire === null ? '' : `, ${number(wire.gap_ms)} ms by the captures`
  const still = open ? ' It had no end: the guest did not answer again.' : ''
  return {
    id: 'client',
    title: 'What a client of the guest saw',
    body:
      `<p>The longest time without an answer was <strong>${number(client_ms)} ms</strong>${onWire}, for a client that asks ${rate_per_s} times a second (${escapeHtml(name)}); ${probes_lost} of ${probes_sent} questions were never answered.${still}</p>` +
      partsText(outage) +
      movedText(outage) +
      outageFigure(outage) +
      table(
        ['ms since the start', 'what happened'],
        outage.timeline.map(({ at_ms, what }) => [at_ms, what]),
        'around the outage',
        [1],
      ),
  }
}

/** Questions that are this long on their way to a guest that runs were held up by more than the handover. */
const heldUpMs = 20

/** Where the time of a gap at or after the handover went; nothing for one before, or without a capture. */
export function partsText({ timeline, from_ms, to_ms, open, class: name }: OutageResult): string {
  const at = (what: string): number | undefined => timeline.find((row) => row.what === what)?.at_ms
  const [suspended, running] = [at(moments.suspended), at(moments.running)]
  const question = at(moments.firstQuestion)
  if (suspended === undefined || running === undefined || question === undefined || open) return ''
  const why = `They are ${escapeHtml(name)} and go through the congested port since the guest has moved: with strict priority a class above theirs that always has something to send keeps them out, and that may be the migration itself, whose pages go on after the handover in post-copy. A lower class for those pages or a higher one for the client (client.class) lets them through.`
  if (from_ms >= running) {
    if (to_ms - from_ms < heldUpMs) return ''
    return `<p>The guest ran at the destination all that time, and its client’s questions did not reach it, or their answers the client. ${why}</p>`
  }
  if (suspended < from_ms || to_ms < question || question < running) return ''
  const parts = `Of that the guest was suspended for ${number(running - suspended)} ms, and its client’s questions then took ${number(question - running)} ms to reach it where it ran.`
  return `<p>${parts}${question - running < heldUpMs ? '' : ` ${why}`}</p>`
}

function movedText({ moved }: OutageResult): string {
  if (moved === undefined) return ''
  const { tunnel, tunnel_ms, new_address, probes_lost, probes_sent } = moved
  return `<p>The guest moved to another network. That was its old connection, which from ${number(tunnel_ms)} ms on came through a tunnel (${escapeHtml(tunnel)}) between the hosts. New connections by its name went to ${escapeHtml(new_address)}, where ${probes_lost} of ${probes_sent} questions were never answered.</p>`
}

function outageFigure({ latency, from_ms, to_ms, timeline }: OutageResult): string {
  const answered = latency.filter(({ rtt_ms }) => rtt_ms !== null)
  const unanswered = latency.filter(({ rtt_ms }) => rtt_ms === null)
  const [good, bad] = [look(0).colour, look(1).colour]
  const asked = [...latency.map(({ at_ms }) => at_ms), from_ms, to_ms]
  const [first, last] = [Math.min(...asked), Math.max(...asked)]
  // The longest gap may have come long before the handover, on a box that was held up.
  const events = timeline.filter(({ at_ms }) => at_ms >= first && at_ms <= last)
  const key: readonly KeyEntry[] = [
    { name: 'answered', colour: good },
    { name: 'never answered', colour: bad },
    { name: 'outage', colour: 'var(--held)', area: true },
  ]
  return figure({
    id: 'client-gap',
    title: 'Round trip of each question',
    caption: `Questions from 50 ms before the outage to 50 ms after it, when they were sent (n = ${latency.length}; of many unanswered ones only the first and the last). Dashed lines are the events of the table.`,
    key,
    heads: ['sent_ms', 'rtt_ms'],
    rows: latency.map(({ at_ms, rtt_ms }) => [at_ms, rtt_ms]),
    plot: () => ({
      x: { label: 'sent, time since the start (ms)', domain: [first, last] },
      y: { label: 'round trip (ms)', grid: true, zero: true },
      marks: [
        Plot.rectX([{ from_ms, to_ms }], {
          x1: 'from_ms',
          x2: 'to_ms',
          fill: 'var(--held)',
          ariaDescription: 'outage',
        }),
        Plot.ruleX(events, { x: 'at_ms', stroke: 'var(--faint)', strokeDasharray: '2 3', title: 'what' }),
        Plot.dot(answered, { x: 'at_ms', y: 'rtt_ms', r: 2, fill: good, ariaDescription: 'answered' }),
        Plot.tickX(unanswered, {
          x: 'at_ms',
          stroke: bad,
          strokeOpacity: 0.3,
          ariaDescription: 'never answered',
        }),
        Plot.ruleY([0], { stroke: 'var(--faint)' }),
      ],
    }),
  })
}
