/** Sends a capture on an interface, from a child process of its own (see capture/live-process.ts). */

import { fileURLToPath } from 'node:url'
import { LiveProcess } from '../capture/live-process.js'
import { PagewireError } from '../support/errors.js'
import type { Pace } from './pacing.js'
import type { ReplayContent } from './source.js'

export interface ReplaySettings extends ReplayContent {
  readonly device: string
  readonly mtuBytes: number
  readonly pace: Pace
  /** How often the file is gone through; 0: until stopped. */
  readonly passes: number
  /**
   * True: a frame leaves within some microseconds of its time, at the price of a busy processor. False: frames that
   * are due within a millisecond may leave together, which is what a load beside a measurement should cost.
   */
  readonly exact: boolean
}

/** How far a replay has come. Counts are exact, those of a replay that broke included. */
export interface ReplayCounts {
  readonly frames_sent: number
  /** Whole frames without FCS. */
  readonly bytes_sent: number
  /** Frames that could not be made, were too long, or that the kernel refused. */
  readonly frames_failed: number
  /** Of those: given up because the queues stayed full. */
  readonly frames_given_up: number
  /** Why the first of those that the kernel refused was refused. */
  readonly failure: string | null
  /** From the first frame to the last. */
  readonly duration_ms: number
  /** How long after their time frames left. */
  readonly late_ms_p50: number | null
  readonly late_ms_p99: number | null
  readonly late_ms_max: number | null
}

/** The lines of the child, besides those of every live process. */
export interface ReplayMessage {
  readonly counts: ReplayCounts
}

export interface Replayer {
  /** The last that is known. */
  readonly counts: ReplayCounts
  /** Resolves when everything was tried, or after `stop`. Fails when the interface or the file breaks. */
  readonly ended: Promise<void>
  /** Begins to send. */
  start(): void
  /** Sends no more. Twice is fine. */
  stop(): void
}

const nothing: ReplayCounts = {
  frames_sent: 0,
  bytes_sent: 0,
  frames_failed: 0,
  frames_given_up: 0,
  failure: null,
  duration_ms: 0,
  late_ms_p50: null,
  late_ms_p99: null,
  late_ms_max: null,
}

/** Opens the interface; nothing is sent before `start`. Fails as `openInjector` does. */
export async function prepareReplay(settings: ReplaySettings): Promise<Replayer> {
  const replayer = new ChildReplayer(settings)
  await replayer.ready
  return replayer
}

class ChildReplayer implements Replayer {
  counts = nothing
  readonly ready: Promise<void>
  readonly ended: Promise<void>
  private readonly child: LiveProcess<ReplayMessage>

  constructor(settings: ReplaySettings) {
    this.child = new LiveProcess<ReplayMessage>({
      inside: [],
      device: settings.device,
      script: fileURLToPath(new URL('../replay/replay-child.js', import.meta.url)),
      args: [JSON.stringify(settings)],
      what: 'replay on',
      code: 'replay-failed',
      onMessage: ({ counts }) => {
        this.counts = counts
      },
    })
    this.ready = this.child.ready
    this.ended = this.child.ended
  }

  start(): void {
    this.child.say('start')
  }

  stop(): void {
    this.child.stop()
  }
}

/** Whether an error is that of an interface that went away while frames were being sent. */
export function interfaceGone(error: unknown): error is PagewireError {
  return error instanceof PagewireError && error.code === 'interface-gone'
}
