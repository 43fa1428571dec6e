/**
 * Keeps the processors out of their idle states while a lab is up. A shaper sends when a timer fires, and a processor
 * that sleeps, or whose hypervisor has given it away meanwhile, fires milliseconds late: the link then carries less
 * than its rate, by several percent on a quiet virtual machine.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { codeOf } from '../support/errors.js'

/** The kernel's interface for it: as long as the file is open (Documentation/power/pm_qos_interface.rst). */
const wakeLatencyFile = '/dev/cpu_dma_latency'

export interface AwakeProcessors {
  /** Largest time in microseconds to leave an idle state; null where the kernel decides as it likes. */
  readonly wakeLatencyUs: 0 | null
  /** Twice is fine. */
  release(): void
}

/** Processors wait for work without sleeping until `release`, or until this process ends. */
export function keepProcessorsAwake(): AwakeProcessors {
  let file: number | undefined
  try {
    file = openSync(wakeLatencyFile, 'w')
    writeSync(file, new Int32Array([0]))
  } catch (error) {
    if (file !== undefined) closeSync(file)
    // A kernel without idle states has no such file, and a container may not be allowed to: the record says so.
    if (!['ENOENT', 'EACCES', 'EPERM', 'ENXIO', 'ENODEV'].includes(codeOf(error))) throw error
    return { wakeLatencyUs: null, release: () => {} }
  }
  return {
    wakeLatencyUs: 0,
    release: () => {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}
