/** Runs the single-capture analysis on a file. */

import { analyseCapture } from '../../src/analysis/capture-analysis.js'
import type { CapturePass } from '../../src/analysis/capture-pass.js'
import { openCapture } from '../../src/capture/read.js'

export async function passOver(file: string): Promise<CapturePass> {
  const reader = await openCapture(file)
  try {
    return await analyseCapture(reader, { intervalNs: 1e9 })
  } finally {
    await reader.close()
  }
}
