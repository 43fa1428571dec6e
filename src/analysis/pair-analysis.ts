/**
 * Two captures of the same traffic at two points: every frame seen at one is looked for at the other, one to one. Gives
 * true loss, one-way and queueing delay, reordering and rewritten marks per class, and the offset between the clocks.
 *
 * Two passes. The first finds which way each flow goes and how far the clocks are apart; the second, with clocks
 * aligned, matches in bounded memory: a frame that is not seen at the other point within two minutes is lost.
 */

import { decode } from '../capture/decode.js'
import type { Frame } from '../capture/frame.js'
import { type FrameReader, openCapture } from '../capture/read.js'
import { TimeBase } from '../capture/record-scanner.js'
import { WasmArena } from '../support/wasm.js'
import { FlowTable } from './flow-table.js'
import { FrameMatcher } from './frame-matcher.js'
import { Histogram } from './histogram.js'
import { comparableBytes, Identity, identify } from './identity.js'

/** What a pair of captures says about one class in one direction. */
export interface PairClass {
  readonly direction: 'a_to_b' | 'b_to_a'
  /** Marks at the first point; of `extra` frames, which only the second point saw, those at the second. */
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  /** Frames of this class at the first point: those matched and those lost. */
  readonly packets: number
  readonly matched: number
  readonly lost: number
  readonly loss_ratio: number
  /** Of the lost, those sent while the other capture was not running: perhaps not lost at all. */
  readonly lost_at_edges: number
  /** Frames at the second point without a frame at the first: duplicates, or frames that the first capture missed. */
  readonly extra: number
  /** Frames that left after a frame of their flow that had entered later (RFC 4737, type-P-reordered). */
  readonly reordered: number
  readonly rewritten: readonly RewrittenMark[]
  /** With the clocks' offset taken out. */
  readonly one_way_delay_ms: DelaySummary | null
  /** One-way delay above the least of this direction. */
  readonly queue_delay_ms: DelaySummary | null
}

export interface RewrittenMark {
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  readonly packets: number
}

export interface DelaySummary {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export interface PairResult {
  readonly a: string
  readonly b: string
  readonly frames_a: number
  readonly frames_b: number
  readonly matched: number
  /** Frames of flows that only one capture shows: traffic that does not pass the other point. */
  readonly foreign_a: number
  readonly foreign_b: number
  readonly clock: ClockOffset
  readonly classes: readonly PairClass[]
  /** False if a capture is cut off or broken: what the rest of it would have shown counts as lost. */
  readonly complete: boolean
}

/** How far the clock of b is ahead of that of a. */
export interface ClockOffset {
  readonly offset_ms: number
  /** The offset lies between these, if both directions were seen. */
  readonly at_least_ms: number | null
  readonly at_most_ms: number | null
  readonly method: 'one clock' | 'both directions' | 'least delay'
}

/** Frames of the first pass: enough to see both directions and the least delay of each. */
const surveyFrames = 400_000
/** A frame that the other point has not shown after this long is lost. */
const patienceNs = 120e9
/** How long before its first and after its last frame a capture is taken to have been running. */
const edgeNs = 1e9
/** Two captures that have shown nothing in common over this many frames of the same time have nothing in common. */
const maxSurveyFrames = 4_000_000
/** How often, in frames, what waits too long is given up. */
const expiryFrames = 1024
/** In place of a row of the flow table, for frames that belong to no flow. */
const noRow = 0

/** Compares two captures. Undefined if they have no frame in common. */
export async function analysePair(fileA: string, fileB: string): Promise<PairResult | undefined> {
  const survey = await surveyPair(fileA, fileB)
  if (survey === undefined) return undefined
  const walk = await Walk.open(fileA, fileB, survey.clock.offsetNs)
  try {
    const pass = new PairPass(walk, survey)
    await walk.each(Number.POSITIVE_INFINITY, (side, frame) => pass.take(side, frame))
    return { ...pass.result(fileA, fileB), complete: walk.readers.every((reader) => !reader.problem) }
  } finally {
    await walk.close()
  }
}

/** Both captures as one sequence, with the clock of b set back by its offset. */
class Walk {
  private constructor(
    readonly readers: readonly [FrameReader, FrameReader],
    /** How far the clock of b is taken to be ahead. */
    readonly offsetNs: number,
    readonly comparable: number,
    private hasA: boolean,
    private hasB: boolean,
  ) {}

  static async open(fileA: string, fileB: string, offsetNs: number | 'start'): Promise<Walk> {
    const timeBase = new TimeBase()
    const a = await openCapture(fileA, timeBase)
    try {
      const b = await openCapture(fileB, timeBase)
      const comparable = comparableBytes([a.snapLength, b.snapLength])
      const hasA = await toNext(a)
      const hasB = await toNext(b)
      const offset = offsetNs === 'start' ? b.frame.timeNs - a.frame.timeNs : offsetNs
      return new Walk([a, b], offset, comparable, hasA, hasB)
    } catch (error) {
      await a.close()
      throw error
    }
  }

  /** Calls `use` with each frame in order of time, up to `limit` of them; goes on there at the next call. */
  async each(limit: number, use: (side: 0 | 1, frame: Frame) => void): Promise<void> {
    const [a, b] = this.readers
    for (let left = limit; left > 0 && (this.hasA || this.hasB); left--) {
      if (this.hasA && (!this.hasB || a.frame.timeNs <= b.frame.timeNs - this.offsetNs)) {
        decode(a.frame)
        use(0, a.frame)
        this.hasA = a.next() || (await toNext(a))
      } else {
        decode(b.frame)
        use(1, b.frame)
        this.hasB = b.next() || (await toNext(b))
      }
    }
  }

  get isOver(): boolean {
    return !this.hasA && !this.hasB
  }

  async close(): Promise<void> {
    for (const reader of this.readers) await reader.close()
  }
}

async function toNext(reader: FrameReader): Promise<boolean> {
  let found = reader.next()
  while (!found && (await reader.fill())) found = reader.next()
  return found
}

interface Survey {
  readonly clock: { readonly offsetNs: number; readonly document: ClockOffset }
}

/** Differences of time, b - a, of the matched frames of one direction of one flow. */
interface Differences {
  count: number
  sum: number
  least: number
  most: number
}

/** First by the captures' own clocks; if those have nothing in common, as if both had begun at the same moment. */
async function surveyPair(fileA: string, fileB: string): Promise<Survey | undefined> {
  for (const offset of [0, 'start'] as const) {
    const rows = await differences(fileA, fileB, offset)
    if (rows.size > 0) return { clock: clockOf(rows) }
  }
  return undefined
}

async function differences(
  fileA: string,
  fileB: string,
  offset: number | 'start',
): Promise<Map<number, Differences>> {
  const walk = await Walk.open(fileA, fileB, offset)
  try {
    const rows = new Map<number, Differences>()
    const matching = new Matching(walk.comparable, walk.offsetNs)
    const begun = [false, false]
    let together = 0
    const look = (side: 0 | 1, frame: Frame): void => {
      begun[side] = true
      if (begun[0] && begun[1]) together++
      if (!matching.take(side, frame, 0)) return
      note(rows, matching.row, side === 1 ? matching.differenceNs(frame) : -matching.differenceNs(frame))
    }
    while (!walk.isOver && together < maxSurveyFrames && (rows.size === 0 || together < surveyFrames)) {
      await walk.each(surveyFrames / 4, look)
    }
    return rows
  } finally {
    await walk.close()
  }
}

function note(rows: Map<number, Differences>, row: number, ns: number): void {
  const known = rows.get(row)
  if (!known) {
    rows.set(row, { count: 1, sum: ns, least: ns, most: ns })
    return
  }
  known.count++
  known.sum += ns
  known.least = Math.min(known.least, ns)
  known.most = Math.max(known.most, ns)
}

/**
 * Frames from a to b are late by offset + delay, those from b to a by offset - delay. So the offset lies between the
 * most of the latter and the least of the former. If 0 is possible, both captures have one clock.
 */
function clockOf(rows: ReadonlyMap<number, Differences>): Survey['clock'] {
  let most = Number.NEGATIVE_INFINITY
  let least = Number.POSITIVE_INFINITY
  for (const [row, forward] of rows) {
    const back = rows.get(row ^ 1)
    if (back === undefined || row === noRow || row % 2 === 1) continue
    const [one, other] =
      forward.sum / forward.count >= back.sum / back.count ? [forward, back] : [back, forward]
    least = Math.min(least, one.least)
    most = Math.max(most, other.most)
  }
  if (most !== Number.NEGATIVE_INFINITY && most <= least) {
    const single = most <= 0 && least >= 0
    const offsetNs = single ? 0 : (most + least) / 2
    return clock(offsetNs, most, least, single ? 'one clock' : 'both directions')
  }
  // One direction alone: a negative delay cannot be, everything else can.
  const smallest = Math.min(...[...rows.values()].map((row) => row.least))
  return smallest >= 0 ? clock(0, null, null, 'one clock') : clock(smallest, null, smallest, 'least delay')
}

function clock(
  offsetNs: number,
  most: number | null,
  least: number | null,
  method: ClockOffset['method'],
): Survey['clock'] {
  const ms = (ns: number | null): number | null => (ns === null ? null : ns / 1e6)
  return {
    offsetNs,
    document: { offset_ms: offsetNs / 1e6, at_least_ms: ms(most), at_most_ms: ms(least), method },
  }
}

type Lose = (side: 0 | 1, row: number, timeNs: number, mark: number) => void

/** Frames of either point that wait for the other. */
class Matching {
  /** Row of the flow table of the frame taken last, from 1; 0 for what has no flow. */
  row = 0
  /** Time and mark of the other frame of the pair, at whichever point it was seen first. */
  otherTimeNs = 0
  otherMark = 0
  overtaken = false
  private seen = 0
  private readonly flows = new FlowTable(new WasmArena())
  private readonly identity = new Identity()
  private readonly waiting: readonly [FrameMatcher, FrameMatcher]

  /** `offsetNs`: how far the clock of the second capture is ahead. */
  constructor(
    private readonly comparable: number,
    private readonly offsetNs: number,
    lose: Lose = () => {},
  ) {
    this.waiting = [
      new FrameMatcher(256, (row, timeNs, mark) => lose(0, row, timeNs, mark)),
      new FrameMatcher(256, (row, timeNs, mark) => lose(1, row, timeNs, mark)),
    ]
  }

  /** Whether the frame's counterpart was seen at the other point; if not, it waits. */
  take(side: 0 | 1, frame: Frame, mark: number): boolean {
    if (++this.seen % expiryFrames === 0)
      this.expire(side === 0 ? frame.timeNs : frame.timeNs - this.offsetNs)
    // Row 0 and 1 are those of frames without a flow; a flow's two directions stay neighbours.
    this.row = this.flows.rowOf(frame) + 2
    if (this.row < 2) this.row = noRow
    identify(frame, this.comparable, this.identity)
    const own = this.waiting[side]
    const other = this.waiting[side === 0 ? 1 : 0]
    if (other.leave(this.identity, this.row)) {
      this.otherTimeNs = other.matchedTimeNs
      this.otherMark = other.matchedMark
      this.overtaken = other.overtaken
      return true
    }
    own.enter(this.identity, frame.timeNs, this.row, mark)
    return false
  }

  /** How much later the frame at hand was seen than its counterpart, by the clocks of the two captures. */
  differenceNs(frame: Frame): number {
    return frame.timeNs - this.otherTimeNs
  }

  end(): void {
    for (const matcher of this.waiting) matcher.end()
  }

  /** Gives up what has waited too long at `nowNs` of the first clock. */
  private expire(nowNs: number): void {
    this.waiting[0].expire(nowNs - patienceNs)
    this.waiting[1].expire(nowNs + this.offsetNs - patienceNs)
  }
}

/** Per direction of a flow: matches, and which way they say that it goes. */
interface RowState {
  matched: number
  /** Matches in which a was first, minus those in which b was. */
  balance: number
}

/** Counters of one class as the first point sees it; both directions, because a flow's way is known only at the end. */
class ClassState {
  matched = 0
  reordered = 0
  readonly delays = new Histogram()
  maxDelayNs = 0
  readonly rewritten = new Map<number, number>()
}

interface Unmatched {
  count: number
  edges: number
}

class PairPass {
  private readonly matching: Matching
  private readonly offsetNs: number
  private readonly document: ClockOffset
  private readonly rows = new Map<number, RowState>()
  private readonly classes = new Map<string, ClassState>()
  /** Frames without a counterpart by side, row and mark. */
  private readonly unmatched = new Map<string, Unmatched>()
  private readonly frames: [number, number] = [0, 0]
  private readonly firstNs: [number, number] = [0, 0]
  private readonly lastNs: [number, number] = [0, 0]
  private readonly leastDelayNs: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  private readonly waitingLosses: { side: 0 | 1; row: number; timeNs: number; mark: number }[] = []
  private matched = 0
  private lastClass: ClassState | undefined
  private lastMark = -1
  private lastDirection = -1

  constructor(walk: Walk, survey: Survey) {
    this.offsetNs = survey.clock.offsetNs
    this.document = survey.clock.document
    this.matching = new Matching(walk.comparable, this.offsetNs, (side, row, timeNs, mark) =>
      this.lose(side, row, timeNs, mark),
    )
  }

  take(side: 0 | 1, frame: Frame): void {
    const timeNs = side === 0 ? frame.timeNs : frame.timeNs - this.offsetNs
    if (this.frames[side]++ === 0) this.firstNs[side] = timeNs
    this.lastNs[side] = timeNs
    const mark = markOf(frame)
    if (this.matching.take(side, frame, mark)) this.pair(side, frame, mark)
  }

  result(a: string, b: string): Omit<PairResult, 'complete'> {
    this.matching.end()
    // Losses near the end can be told from the capture's edges only now.
    for (const { side, row, timeNs, mark } of this.waitingLosses) this.settle(side, row, timeNs, mark)
    const foreign: [number, number] = [0, 0]
    const classes = new Map<string, { lost: Unmatched; extra: number }>()
    for (const [key, { count, edges }] of this.unmatched) {
      const [side = 0, row = 0, mark = 0] = key.split(' ').map(Number)
      const state = this.rows.get(row)
      if (!state && !this.rows.has(row ^ 1)) {
        foreign[side === 0 ? 0 : 1] += count
        continue
      }
      const direction = this.directionOf(row)
      const className = `${direction} ${mark}`
      const known = classes.get(className) ?? { lost: { count: 0, edges: 0 }, extra: 0 }
      classes.set(className, known)
      if (side === direction) {
        known.lost.count += count
        known.lost.edges += edges
      } else {
        known.extra += count
      }
    }
    for (const key of this.classes.keys())
      if (!classes.has(key)) classes.set(key, { lost: { count: 0, edges: 0 }, extra: 0 })
    return {
      a,
      b,
      frames_a: this.frames[0],
      frames_b: this.frames[1],
      matched: this.matched,
      foreign_a: foreign[0],
      foreign_b: foreign[1],
      clock: this.document,
      classes: [...classes]
        .map(([key, { lost, extra }]) => this.classRow(key, lost, extra))
        .toSorted((one, other) => other.packets - one.packets),
    }
  }

  private pair(side: 0 | 1, frame: Frame, mark: number): void {
    const { matching } = this
    this.matched++
    // By the clock of a: positive if a saw the frame first.
    const differenceNs =
      side === 1
        ? matching.differenceNs(frame) - this.offsetNs
        : -matching.differenceNs(frame) - this.offsetNs
    const state = this.rows.get(matching.row) ?? this.newRow(matching.row)
    state.matched++
    state.balance += differenceNs >= 0 ? 1 : -1
    const direction = state.balance >= 0 ? 0 : 1
    const first = side === direction ? mark : matching.otherMark
    const second = side === direction ? matching.otherMark : mark
    const delayNs = direction === 0 ? differenceNs : -differenceNs
    const row = this.classState(direction, first)
    row.matched++
    if (matching.overtaken) row.reordered++
    if (first !== second) row.rewritten.set(second, (row.rewritten.get(second) ?? 0) + 1)
    row.delays.add(delayNs)
    if (delayNs > row.maxDelayNs) row.maxDelayNs = delayNs
    if (delayNs < this.leastDelayNs[direction]) this.leastDelayNs[direction] = delayNs
  }

  private newRow(row: number): RowState {
    const state = { matched: 0, balance: 0 }
    this.rows.set(row, state)
    return state
  }

  private classState(direction: number, mark: number): ClassState {
    if (this.lastClass && this.lastMark === mark && this.lastDirection === direction) return this.lastClass
    const key = `${direction} ${mark}`
    let state = this.classes.get(key)
    if (!state) {
      state = new ClassState()
      this.classes.set(key, state)
    }
    this.lastClass = state
    this.lastMark = mark
    this.lastDirection = direction
    return state
  }

  private lose(side: 0 | 1, row: number, timeNs: number, mark: number): void {
    // Until both captures have ended, only what happened well inside the other one is certain.
    const other = side === 0 ? 1 : 0
    const now = side === 0 ? timeNs : timeNs - this.offsetNs
    if (now + edgeNs < this.lastNs[other]) this.settle(side, row, timeNs, mark)
    else this.waitingLosses.push({ side, row, timeNs, mark })
  }

  private settle(side: 0 | 1, row: number, timeNs: number, mark: number): void {
    const other = side === 0 ? 1 : 0
    const now = side === 0 ? timeNs : timeNs - this.offsetNs
    // The other capture had not begun or had ended: this frame says nothing about the network.
    if (this.frames[other] > 0 && (now < this.firstNs[other] - edgeNs || now > this.lastNs[other] + edgeNs))
      return
    const key = `${side} ${row} ${mark}`
    const known = this.unmatched.get(key) ?? { count: 0, edges: 0 }
    known.count++
    if (now < this.firstNs[other] || now > this.lastNs[other]) known.edges++
    this.unmatched.set(key, known)
  }

  /** 0: from a to b. A direction without matches goes against its opposite. */
  private directionOf(row: number): 0 | 1 {
    const state = this.rows.get(row)
    if (state) return state.balance >= 0 ? 0 : 1
    const back = this.rows.get(row ^ 1)
    return back && back.balance >= 0 && row !== noRow ? 1 : 0
  }

  private classRow(key: string, lost: Unmatched, extra: number): PairClass {
    const [direction = 0, mark = 0] = key.split(' ').map(Number)
    const state = this.classes.get(key) ?? new ClassState()
    const packets = state.matched + lost.count
    const leastNs = this.leastDelayNs[direction === 0 ? 0 : 1]
    return {
      direction: direction === 0 ? 'a_to_b' : 'b_to_a',
      ...markFields(mark),
      packets,
      matched: state.matched,
      lost: lost.count,
      loss_ratio: packets === 0 ? 0 : lost.count / packets,
      lost_at_edges: lost.edges,
      extra,
      reordered: state.reordered,
      rewritten: [...state.rewritten].map(([to, count]) => ({ ...markFields(to), packets: count })),
      one_way_delay_ms: summary(state, 0),
      queue_delay_ms: summary(state, leastNs),
    }
  }
}

function summary(state: ClassState, leastNs: number): DelaySummary | null {
  if (state.delays.count === 0) return null
  const ms = (share: number): number => Math.max(0, (state.delays.percentileNs(share) ?? 0) - leastNs) / 1e6
  return { p50: ms(0.5), p90: ms(0.9), p99: ms(0.99), max: (state.maxDelayNs - leastNs) / 1e6 }
}

/** VLAN, PCP and DSCP in one number, each with room for `absent`. */
function markOf(frame: Frame): number {
  return ((frame.vlan + 1) << 12) | ((frame.pcp + 1) << 8) | (frame.dscp + 1)
}

function markFields(mark: number): { vlan: number | null; pcp: number | null; dscp: number | null } {
  const known = (value: number): number | null => (value === -1 ? null : value)
  return { vlan: known((mark >> 12) - 1), pcp: known(((mark >> 8) & 15) - 1), dscp: known((mark & 255) - 1) }
}
