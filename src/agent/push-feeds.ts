/** Post-copy at the source: what the background lane and the lane of the faults send, and when they have nothing. */

import type { PushQueue } from '../migration/push.js'
import type { PageSource } from './source-lane.js'

/** Pages that are taken for the background at a time: of a page that has been taken, a fault finds only that it is on its way. */
const pagesPerTake = 16
/** Longest wait before looking again whether it is over. */
const lookMs = 20

export interface PushFeeds {
  readonly background: PageSource
  /** The lane of the faults; absent where it is that of the background. */
  readonly urgent: PageSource | undefined
  /** The destination asks for a page. */
  readonly faulted: (page: number) => void
  readonly requests: () => number
  /** Something happened: whoever waits looks again. */
  readonly wake: () => void
  /** The background has ended, and with it the push. */
  readonly end: () => void
}

export function pushFeeds(queue: PushQueue, oneLane: boolean, isOver: () => boolean): PushFeeds {
  const waiting: number[] = []
  const sleepers = new Set<() => void>()
  let requests = 0
  let ended = false
  const wake = (): void => {
    for (const sleeper of [...sleepers]) sleeper()
  }
  const sleep = (): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        sleepers.delete(done)
        resolve()
      }
      const timer = setTimeout(done, lookMs)
      sleepers.add(done)
    })
  const takeWaiting = (out: Uint32Array): number => {
    const pages = waiting.splice(0, out.length)
    out.set(pages)
    return pages.length
  }
  return {
    background: {
      take: (out) => (oneLane ? takeWaiting(out) : 0) || queue.take(out.subarray(0, pagesPerTake)),
      more: async () => {
        if (queue.left.count === 0 && (!oneLane || waiting.length === 0)) return false
        await sleep()
        return !isOver()
      },
    },
    urgent: oneLane
      ? undefined
      : {
          take: takeWaiting,
          more: async () => {
            while (waiting.length === 0 && !ended && !isOver()) await sleep()
            return waiting.length > 0
          },
        },
    faulted: (page) => {
      requests++
      if (!queue.fault(page)) return
      waiting.push(page)
      wake()
    },
    requests: () => requests,
    wake,
    end: () => {
      ended = true
      wake()
    },
  }
}
