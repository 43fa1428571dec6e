/// <reference lib="dom" />
/** Every kind of report as a reader gets it: complete, readable at both widths, silent, and asking nobody for anything. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { levelClaims, migrationClaims, othersClaims } from '../../src/experiment/claims.js'
import { comparisonOf, jobsOf, readPlan, rowOf } from '../../src/experiment/comparison.js'
import { reproduceStord } from '../../src/experiment/reproduce-stord.js'
import type { RunResult } from '../../src/experiment/result.js'
import { validate } from '../../src/experiment/validate.js'
import type { JournalEntry } from '../../src/migration/journal.js'
import { comparisonReport } from '../../src/report/comparison-report.js'
import { reproductionReport } from '../../src/report/reproduction-report.js'
import { type RunReportInput, runReport } from '../../src/report/run-report.js'
import { runsReport } from '../../src/report/runs-report.js'
import { timeSpent } from '../../src/report/time-spent.js'
import { validationReport } from '../../src/report/validation-report.js'
import { strategyNamed } from '../../src/strategies/index.js'
import { fakeRun } from '../experiment/fake-run.js'
import { noBrowser, openReport } from './browser.js'

const needs = { skip: noBrowser }

/** What a figure must show: the label of an axis with its unit, and how many marks of which kind. */
interface Expected {
  readonly id: string
  readonly axis: RegExp
  readonly marks: string
  readonly count: number
}

test('a run: curves, pages, rounds and why it took as long', needs, async (t) => {
  await check(t, runReport(someRun()), [
    { id: 'throughput', axis: /throughput \(Mbit\/s\)/, marks: '[aria-label=line] path', count: 2 },
    { id: 'queue-delay', axis: /queueing delay \(ms\)/, marks: '[aria-label=line] path', count: 2 },
    { id: 'drops', axis: /frames lost \(frames per bin\)/, marks: '[aria-label=line] path', count: 2 },
    { id: 'tcp-window', axis: /TCP window in use \(KiB\)/, marks: '[aria-label=line] path', count: 1 },
    {
      id: 'retransmits',
      axis: /retransmissions \(segments per bin\)/,
      marks: '[aria-label=line] path',
      count: 1,
    },
    { id: 'page-map', axis: /page number/, marks: '[aria-label=rect] rect', count: 6 },
    { id: 'pages', axis: /pages/, marks: '[aria-label=line] path', count: 2 },
    { id: 'rounds', axis: /pages/, marks: '[aria-label=bar] rect', count: 6 },
    { id: 'time-spent', axis: /time \(s\)/, marks: '[aria-label=bar] rect', count: 8 },
    { id: 'client-gap', axis: /round trip \(ms\)/, marks: '[aria-description=answered] circle', count: 100 },
    {
      id: 'client-gap',
      axis: /time since the start \(ms\)/,
      marks: '[aria-description="never answered"] line',
      count: 40,
    },
  ])
})

test('a validation: every effect with its interval, every run as a point', needs, async (t) => {
  const html = validationReport(await someValidation())
  await check(t, html, [
    { id: 'effects-marked', axis: /change \(%\)/, marks: '[aria-label=dot] > *', count: 7 },
    {
      id: 'effects-marked',
      axis: /change \(%\)/,
      marks: '[aria-description="95 % intervals"] line',
      count: 7,
    },
    { id: 'goodputs', axis: /goodput \(Mbit\/s\)/, marks: '[aria-label=dot] circle', count: 12 },
    { id: 'total-times', axis: /total time \(ms\)/, marks: '[aria-label=dot] circle', count: 12 },
  ])
})

test('a reproduction: one small picture for every number of pieces', needs, async (t) => {
  const schemes = { stord: strategyNamed('stord'), preCopy: strategyNamed('pre-copy') }
  const html = reproductionReport(await reproduceStord(schemes))
  await check(t, html, [
    { id: 'saving-by-ratio', axis: /saving \(%\)/, marks: '[aria-label=line] path', count: 22 },
  ])
})

test(
  'a comparison: means over two axes, one picture per value of the third, every run a point',
  needs,
  async (t) => {
    const plan = readPlan(
      `axes:
  migration.strategy: [pre-copy, stord, stop-and-copy]
  guest.workload.kind: [hot, iid]
  marks: { none: { seed: 1 }, high: { seed: 1 } }`,
      'plan',
    )
    const rows = jobsOf(plan).map((job, i) =>
      rowOf(
        job,
        fakeRun(
          { goodputMbps: 100 + i, totalMs: 1000 + i, downtimeMs: 20, otherMbps: 30, invalid: i === 0 },
          { limitNs: 60e9 },
        ),
      ),
    )
    await check(t, comparisonReport(comparisonOf(plan, rows)), [
      { id: 'map-total_time_ms', axis: /strategy/, marks: '[aria-label=cell] rect', count: 12 },
      { id: 'points-total_time_ms', axis: /total time \(ms\)/, marks: '[aria-label=dot] circle', count: 35 },
      { id: 'points-goodput_mbps', axis: /goodput \(Mbit\/s\)/, marks: '[aria-label=tick] line', count: 12 },
    ])
  },
)

test('runs side by side: each a point, and what is predicted or INVALID looks so', needs, async (t) => {
  const { result } = someRun()
  const html = runsReport([
    { name: 'a', result },
    { name: 'b', result: { ...result, origin: 'predicted' } },
    { name: 'c', result: { ...result, fidelity: { valid: false, checks: [] } } },
  ])
  await check(t, html, [
    { id: 'total_time_ms', axis: /total time \(ms\)/, marks: '[aria-label=dot] > *', count: 3 },
    { id: 'goodput_mbps', axis: /goodput \(Mbit\/s\)/, marks: '[aria-label=dot] > *', count: 3 },
  ])
  assert.match(html, /1 measured, 1 predicted, 1 INVALID/)
})

test('INVALID and predicted are said first and framed', needs, async (t) => {
  const input = someRun()
  const invalid = runReport({ ...input, result: { ...input.result, fidelity: { valid: false, checks: [] } } })
  const predicted = runReport({ ...input, result: { ...input.result, origin: 'predicted' } })
  for (const [html, word] of [
    [invalid, 'INVALID'],
    [predicted, 'PREDICTED'],
  ] as const) {
    const { page } = await openReport(t, html, { width: 1280 })
    assert.match((await page.locator('.stamp').textContent()) ?? '', new RegExp(word))
    const border = await page
      .locator('figure')
      .first()
      .evaluate((one) => getComputedStyle(one).borderStyle)
    assert.equal(border, 'dashed')
  }
})

test('dark readers get a dark page whose text can be read', needs, async (t) => {
  const { page } = await openReport(t, runReport(someRun()), { width: 1280, colorScheme: 'dark' })
  const [ground, ink] = await page.evaluate(() => {
    const style = getComputedStyle(document.body)
    return [style.backgroundColor, style.color]
  })
  assert.ok(contrast(ground ?? '', ink ?? '') > 7, `${ink} on ${ground}`)
})

test('on paper: light, every figure whole, no buttons', needs, async (t) => {
  const { page } = await openReport(t, runReport(someRun()), { width: 400, colorScheme: 'dark' })
  await page.emulateMedia({ media: 'print' })
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  assert.equal(ground, 'rgb(255, 255, 255)')
  for (const figure of await page.locator('figure').all()) {
    assert.ok(await figure.locator('.wide svg').isVisible())
    assert.equal(await figure.locator('.save').isVisible(), false)
  }
  const pdf = await page.pdf({ format: 'A4' })
  assert.equal(pdf.subarray(0, 5).toString(), '%PDF-')
})

test(
  'the keyboard reaches sections, data and downloads, and each download is what it says',
  needs,
  async (t) => {
    const { page } = await openReport(t, runReport(someRun()), { width: 1280 })
    const reached = new Set<string>()
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab')
      reached.add(await page.evaluate(() => document.activeElement?.textContent?.slice(0, 20) ?? ''))
    }
    for (const name of ['Over time', 'SVG', 'CSV', 'The data of this fig']) assert.ok(reached.has(name), name)
    const text = async (format: string): Promise<string> => {
      const link = page.locator(`#throughput a[download$=".${format}"]`)
      return decodeURIComponent((await link.getAttribute('href'))!.replace(/^[^,]*,/, ''))
    }
    const csv = (await text('csv')).split('\r\n')
    assert.equal(csv[0], 'time_s,traffic,Mbit/s')
    assert.equal(csv.length, 1 + 2 * 20)
    const svg = await text('svg')
    const parsed = await page.evaluate(
      (source) => new DOMParser().parseFromString(source, 'image/svg+xml').documentElement.nodeName,
      svg,
    )
    assert.equal(parsed, 'svg')
  },
)

test('hostile names stay text', needs, async (t) => {
  const input = someRun()
  const evil = '</title><script>console.log("run")</script><img src="http://example.invalid/x">'
  const html = runReport({ ...input, result: { ...input.result, scenario: { name: evil }, reason: evil } })
  const { page, said, asked } = await openReport(t, html, { width: 1280 })
  assert.deepEqual([said, asked], [[], []])
  assert.ok((await page.title()).includes('<script>'))
})

test('the parts of the total time add up to it', () => {
  const { migration } = someRun().result
  const parts = timeSpent(migration!, { linkBps: 200e6, resentFrames: 20, frameBytes: 1518 })
  const total = parts.reduce((sum, { ms }) => sum + ms, 0)
  assert.ok(Math.abs(total - migration!.total_time_ms) < 0.01, `${total}`)
  assert.ok(parts.every(({ ms }) => ms >= 0))
})

test('pages that follow the guest after the handover are sent, not time between rounds', () => {
  const { migration } = someRun().result
  const pushed = { ...migration!.rounds[0]!, phase: 'postcopy', start_ms: 2000, duration_ms: 900 } as const
  const link = { linkBps: 200e6, resentFrames: 0, frameBytes: 1518 }
  const parts = timeSpent(
    { ...migration!, total_time_ms: 3000, rounds: [...migration!.rounds, pushed] },
    link,
  )
  const before = timeSpent({ ...migration!, total_time_ms: 3000 }, link)
  const ms = (of: typeof parts, name: string): number =>
    of.find((part) => part.name === name)?.ms ?? Number.NaN
  assert.ok(Math.abs(ms(before, 'between rounds') - ms(parts, 'between rounds') - 900) < 1)
})

async function check(t: Parameters<typeof openReport>[0], html: string, figures: readonly Expected[]) {
  for (const [width, size] of [
    [1280, 'wide'],
    [400, 'narrow'],
  ] as const) {
    const { page, said, asked } = await openReport(t, html, { width })
    assert.deepEqual(said, [], 'the console is silent')
    assert.deepEqual(asked, [], 'nothing is asked for')
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`)
    for (const figure of figures) await checkFigure(page, figure, size)
  }
}

async function checkFigure(page: Page, { id, axis, marks, count }: Expected, size: string): Promise<void> {
  const svg = page.locator(`#${id} .${size} svg`)
  assert.ok(await svg.isVisible(), `${id} is visible at ${size}`)
  assert.equal(await svg.getAttribute('role'), 'img')
  assert.ok((await svg.getAttribute('aria-label')) !== null)
  assert.equal(await svg.locator(marks).count(), count, `${marks} of ${id} at ${size}`)
  assert.match((await svg.locator('[aria-label$="axis label"]').allTextContents()).join(), axis)
}

function someRun(): RunReportInput {
  const result = fakeRun(
    { goodputMbps: 150, totalMs: 2000, downtimeMs: 30, otherMbps: 40 },
    { limitNs: 60e9 },
  )
  const rounds = [
    { round: 1, phase: 'running', start_ms: 50, duration_ms: 1700, pages_sent: 8000 },
    { round: 2, phase: 'running', start_ms: 1760, duration_ms: 200, pages_sent: 900 },
    { round: 3, phase: 'suspended', start_ms: 1970, duration_ms: 25, pages_sent: 10 },
  ] as const
  const full: RunResult = {
    ...result,
    scenario: { name: 'a test', link: { rate: '200mbit' } },
    outage: someOutage(),
    migration: {
      ...result.migration!,
      pages_sent: 8910,
      pages_unique: 8000,
      downtime_split_ms: { final_copy: 12, device: 17, handover: 1 },
      rounds: rounds.map((round) => ({
        ...round,
        pages_sent_by_region: [round.pages_sent, 0, 5, 0],
        pages_skipped: 3,
        pages_dirtied: 5,
        bytes_sent: round.pages_sent * 4112,
        goodput_mbps: 150,
      })),
    },
  }
  const values = Array.from({ length: 20 }, (_, i) => 100 + i)
  const row = (role: string, pcp: number) => ({
    role,
    direction: 'client-to-server' as const,
    pcp,
    dscp: 0,
    throughput_mbps: values,
    packets_lost: values,
    queue_delay_ms_mean: values.map((value, i) => (i === 5 ? null : value)),
    queue_delay_ms_max: values,
    retransmits: values,
    in_flight_kib_max: pcp === 7 ? values : values.map(() => null),
  })
  const view = (atNs: number, unsent: number): JournalEntry => ({
    at_ns: atNs,
    event: 'view',
    phase: 'running',
    round: 1,
    unsent_pages: unsent,
    redirtied_pages: 3,
    sent_pages: 0,
    last_copy_goodput_mbps: 0,
  })
  return {
    result: full,
    series: { bin_ms: 100, bins: 20, rows: [row('migration bulk', 7), row('cross-traffic 0 udp-cbr', 0)] },
    journal: [view(0, 8000), view(1e9, 4000), view(1.9e9, 10)],
  }
}

function someOutage(): RunResult['outage'] {
  const latency = Array.from({ length: 140 }, (_, i) => ({
    at_ms: 1915 + i,
    rtt_ms: i >= 50 && i < 90 ? null : 0.2 + 0.001 * i,
  }))
  return {
    client_ms: 41.2,
    probes_sent: 2100,
    probes_lost: 40,
    from_ms: 1964.2,
    to_ms: 2005.4,
    open: false,
    rate_per_s: 1000,
    class: 'best-effort',
    timeline: [
      { at_ms: 1970, what: 'guest suspended at the source' },
      { at_ms: 2000, what: 'guest running at the destination' },
    ],
    latency,
    wire: null,
  }
}

function someValidation() {
  const others = [{ stream: 'cross-traffic 0 udp-cbr', class: 'best-effort' }]
  const level = levelClaims('downtime < 300 ms', others)
  assert.ok(!('problem' in level))
  return validate({
    arms: [
      { name: 'unmarked', marking: { bulk: 'best-effort', final: 'best-effort' } },
      { name: 'marked', marking: { bulk: 'CS7', final: 'CS7' } },
    ],
    claims: [...migrationClaims(0.1, ['goodput']), ...othersClaims(others, 0.1), ...level],
    passNs: 3e9,
    seed: 1,
    pairs: 6,
    maxPairs: 6,
    maxTimeNs: 1e15,
    scenarioLimitNs: 120e9,
    run: async ({ arm, seed, limitNs }) =>
      fakeRun(
        arm.name === 'marked'
          ? { goodputMbps: 150 + seed, totalMs: 3000 + seed, downtimeMs: 20, otherMbps: 10 }
          : { goodputMbps: 30 + seed, totalMs: 60_000, downtimeMs: 90, otherMbps: 100 },
        { limitNs },
      ),
    nowNs: () => 0,
  })
}

/** WCAG 2.2 contrast of two `rgb(...)` colours. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map((part) => {
      const share = Number(part) / 255
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue
  }
  const [dark, light] = [luminance(a), luminance(b)].toSorted((x, y) => x - y)
  return (light! + 0.05) / (dark! + 0.05)
}
