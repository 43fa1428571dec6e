/** Runs the single-capture analysis on a file. */

import { CapturePass } from '../../src/analysis/capture-pass.js'
import { decode } from '../../src/capture/decode.js'
import { openCapture } from '../../src/capture/read.js'

export async function passOver(file: string): Promise<CapturePass> {
  const reader = await openCapture(file)
  const pass = new CapturePass({ intervalNs: 1e9 })
  do {
    while (reader.next()) {
      decode(reader.frame)
      pass.take(reader.frame)
    }
  } while (await reader.fill())
  await reader.close()
  return pass
}
