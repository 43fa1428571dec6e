/** Throughput per class on a live interface, second by second, measured by a child process. */

import { fileURLToPath } from 'node:url'
import type { ClassCount } from './class-counter.js'
import { LiveProcess } from './live-process.js'

/** What was seen in one interval. */
export interface MeterInterval {
  readonly duration_ms: number
  /** Frames that the capture saw, and frames that the interface itself counted in the same time. */
  readonly frames: number
  readonly frames_on_interface: number
  readonly classes: readonly ClassCount[]
}

/** The lines of the child. */
export interface MeterMessage {
  readonly interval: MeterInterval
}

export interface MeterOptions {
  /** What to put before an argv to run it in the interface's namespace; empty for this one. */
  readonly inside: readonly string[]
  readonly device: string
  readonly intervalMs: number
  /** Only these frames, in the words of pcap-filter(7); all where absent. */
  readonly filter?: string
  readonly onInterval: (interval: MeterInterval) => void
}

export interface Meter {
  /** Resolves after `stop`; fails when the interface went away or the capture broke. */
  readonly ended: Promise<void>
  /** Ends the capture; a last, shorter interval may still come before `ended` resolves. */
  stop(): void
}

/** Resolves when frames are being counted. Fails as `openLive` does. */
export async function startMeter(options: MeterOptions): Promise<Meter> {
  const { inside, device, intervalMs, filter = '', onInterval } = options
  const child = new LiveProcess<MeterMessage>({
    inside,
    device,
    script: fileURLToPath(new URL('../capture/meter-child.js', import.meta.url)),
    args: [device, String(intervalMs), filter],
    what: 'capture of',
    code: 'cannot-capture',
    onMessage: ({ interval }) => onInterval(interval),
  })
  await child.ready
  return child
}
