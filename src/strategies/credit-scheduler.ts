/**
 * Xen's credit scheduler in steps of a millisecond (Xen 4.2.3 xen/common/sched_credit.c): what share of a processor
 * each domain gets. One virtual processor a domain; a run queue that all processors share. Among equals of a priority
 * who has most credit goes first, where Xen has a plain queue: so shares keep to the weights within one slice.
 */

import { assert } from '../support/assert.js'

export interface Domain {
  /** Its part of the processors, relative to the weights of the others; Xen's default is 256. */
  readonly weight: number
  /** Percent of one processor at most; 0: no cap. */
  readonly cap: number
  /** Share of a processor that it wants, 0..1: work for each 10 ms, asked for when the last is done; 1: always. */
  readonly demand: number
  /** Goes before the others when it wakes up with credit left (BOOST). */
  readonly boost: boolean
}

export const sliceMs = 30
const tickMs = 10
const creditsPerMs = 10
const creditsPerSlice = sliceMs * creditsPerMs

/** Priorities, the first served first. A parked domain is over its cap and not served. */
const Priority = { boost: 0, under: 1, over: 2, parked: 3 } as const

interface Vcpu {
  readonly domain: Domain
  credit: number
  priority: number
  /** Work that is left of what it asked for, in ms. */
  work: number
  /** Of its turn, in ms; 0 when it does not run. */
  sliceLeft: number
  /** When it joined the run queue, for the order among equals. */
  queuedAt: number
  ranMs: number
}

/** Time that each domain ran in so many milliseconds, from a moment at which all have no credit. */
export function ranMs(domains: readonly Domain[], processors: number, durationMs: number): readonly number[] {
  const vcpus = domains.map(
    (domain, i): Vcpu => ({
      domain,
      credit: 0,
      priority: Priority.under,
      work: 0,
      sliceLeft: 0,
      queuedAt: i - domains.length,
      ranMs: 0,
    }),
  )
  for (let ms = 0; ms < durationMs; ms++) {
    if (ms % sliceMs === 0) account(vcpus, processors)
    if (ms % tickMs === 0) wake(vcpus, ms)
    run(vcpus, processors, ms)
  }
  return vcpus.map((vcpu) => vcpu.ranMs)
}

/** Gives the credit of one period to those who may have it; what a cap leaves over goes to the others. */
function account(vcpus: readonly Vcpu[], processors: number): void {
  let left = processors * creditsPerSlice
  let sharers = [...vcpus]
  for (let again = true; again && sharers.length > 0; ) {
    const weights = sharers.reduce((sum, { domain }) => sum + domain.weight, 0)
    const perWeight = left / weights
    const limited = sharers.filter((vcpu) => perWeight * vcpu.domain.weight > most(vcpu))
    for (const vcpu of limited.length > 0 ? limited : sharers) {
      const fair = Math.min(most(vcpu), perWeight * vcpu.domain.weight)
      vcpu.credit = Math.min(creditsPerSlice, vcpu.credit + fair)
      left -= fair
    }
    again = limited.length > 0
    sharers = again ? sharers.filter((vcpu) => !limited.includes(vcpu)) : []
  }
  for (const vcpu of vcpus) {
    const cap = capCredits(vcpu.domain)
    vcpu.credit = Math.max(-creditsPerSlice, vcpu.credit)
    vcpu.priority = cap > 0 && vcpu.credit < -cap ? Priority.parked : priorityOf(vcpu)
  }
}

/** Credit that one virtual processor can use in a period. */
function most({ domain }: Vcpu): number {
  return domain.cap === 0 ? creditsPerSlice : capCredits(domain)
}

function capCredits({ cap }: Domain): number {
  return (cap / 100) * creditsPerSlice
}

function priorityOf({ credit }: Vcpu): number {
  return credit >= 0 ? Priority.under : Priority.over
}

/** The next 10 ms of work for who has done the last. */
function wake(vcpus: readonly Vcpu[], ms: number): void {
  for (const vcpu of vcpus) {
    const { demand, boost } = vcpu.domain
    if (vcpu.priority === Priority.boost) vcpu.priority = priorityOf(vcpu)
    if (vcpu.work > 0) continue
    vcpu.work = demand * tickMs
    if (demand === 1) continue
    vcpu.queuedAt = ms
    if (boost && vcpu.priority === Priority.under) vcpu.priority = Priority.boost
  }
}

/** One millisecond: who has a turn keeps it unless somebody with BOOST waits; the best of the queue get the rest. */
function run(vcpus: readonly Vcpu[], processors: number, ms: number): void {
  const boosted = vcpus.some(({ priority, sliceLeft }) => priority === Priority.boost && sliceLeft === 0)
  const able = vcpus.filter(({ work, priority }) => work > 0 && priority !== Priority.parked)
  const chosen = able.toSorted(
    (a, b) => place(a, boosted) - place(b, boosted) || b.credit - a.credit || a.queuedAt - b.queuedAt,
  )
  for (const [i, vcpu] of chosen.entries()) {
    if (i >= processors) {
      if (vcpu.sliceLeft > 0) vcpu.queuedAt = ms
      vcpu.sliceLeft = 0
      continue
    }
    if (vcpu.sliceLeft === 0) vcpu.sliceLeft = sliceMs
    serve(vcpu, ms)
  }
  for (const vcpu of vcpus) if (!able.includes(vcpu)) vcpu.sliceLeft = 0
}

/** Whoever runs goes on, before those of its own priority and of better ones; only BOOST interrupts. */
function place({ priority, sliceLeft }: Vcpu, boosted: boolean): number {
  if (priority === Priority.boost) return 0
  if (sliceLeft > 0 && !boosted) return 1
  return sliceLeft > 0 ? 2 : 3 + priority
}

function serve(vcpu: Vcpu, ms: number): void {
  const done = Math.min(1, vcpu.work)
  vcpu.ranMs += done
  vcpu.credit -= done * creditsPerMs
  vcpu.sliceLeft--
  if (vcpu.domain.demand < 1) vcpu.work = Math.max(0, vcpu.work - done)
  if (vcpu.sliceLeft === 0) vcpu.queuedAt = ms + 1
  assert(vcpu.sliceLeft >= 0, 'a turn is not longer than a slice')
}
