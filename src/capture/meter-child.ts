/**
 * The process that meter.ts starts: captures one interface, counts per class, and prints one JSON line per interval.
 * Arguments: interface, interval in ms, filter. It ends when its stdin does, or by cap's abort when the interface goes away.
 */

import { readFileSync } from 'node:fs'
import { ClassCounter } from './class-counter.js'
import { openLive } from './live.js'
import { sayFailure, sayLine } from './live-process.js'
import type { MeterMessage } from './meter.js'

const [device = '', intervalText = '', filter = ''] = process.argv.slice(2)

await sayFailure(() => measure(device, Number(intervalText), filter))

function measure(name: string, intervalMs: number, only: string): void {
  const counter = new ClassCounter()
  const live = openLive(name, (bytes, length) => counter.add(bytes, length), only)
  let before: { seen: number; onInterface: number; atMs: number } | undefined
  const sample = (): void => {
    const now = { seen: counter.frames, onInterface: framesOnInterface(name), atMs: performance.now() }
    const classes = counter.take()
    if (before) {
      const message: MeterMessage = {
        interval: {
          duration_ms: now.atMs - before.atMs,
          frames: now.seen - before.seen,
          frames_on_interface: now.onInterface - before.onInterface,
          classes,
        },
      }
      sayLine(message)
    }
    before = now
  }
  // cap empties its ring in the poll phase, which is just before an immediate: both counts are then of one moment.
  const timer = setInterval(() => setImmediate(sample), intervalMs)
  setImmediate(() => {
    sample()
    sayLine({ ready: true })
  })
  process.stdin.resume().once('end', () => {
    clearInterval(timer)
    setImmediate(() => {
      sample()
      live.close()
    })
  })
}

/** Received and sent frames, from the kernel's own counters. */
function framesOnInterface(name: string): number {
  const line = readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .find((text) => text.trimStart().startsWith(`${name}:`))
  const fields =
    line
      ?.slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/) ?? []
  return Number(fields[1] ?? 0) + Number(fields[9] ?? 0)
}
