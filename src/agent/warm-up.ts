/**
 * What the set-up and the handover of a migration compute, computed once before it: a program's first call of anything is
 * slow, and a hypervisor has long been running when it is told to migrate.
 */

import { pageContent } from '../memory/content.js'
import { PageSet } from '../memory/page-set.js'
import { decodePosition, encodePosition } from '../wire/event-log.js'
import { FrameType, frame } from '../wire/frame.js'
import { FrameReader } from '../wire/frame-reader.js'
import { Guest } from '../workload/guest.js'
import { libc } from './libc.js'
import { newSecret, prove } from './proof.js'
import { ResumedGuest } from './resumed-guest.js'
import { decodeSession, deviceState, encodeSession, type Session } from './session.js'

const session: Session = {
  totalPages: 1024,
  pageBytes: 4096,
  deviceBytes: 2 ** 18,
  seed: 0,
  content: { kind: 'random' },
  lanes: ['bulk', 'final'],
}

export function warmUp(): void {
  libc()
  prove(newSecret(), 'source', 0, newSecret(), newSecret())
  const { content, pageBytes, deviceBytes } = decodeSession(encodeSession(session))
  pageContent(content, pageBytes, 0)
  readFrames(deviceState(0, deviceBytes))
  resumeEarly()
}

/** Device state as it comes in. */
function readFrames(device: Buffer): void {
  const reader = new FrameReader({ page: () => {}, message: () => {} }, session.pageBytes)
  const bytes = frame(FrameType.device, 0, 0, device.subarray(0, session.pageBytes))
  for (let i = 0; i < 100; i++) {
    bytes.copy(reader.space())
    reader.received(bytes.length)
  }
}

/** A guest that is handed over before its memory is there. */
function resumeEarly(): void {
  const { totalPages, pageBytes, seed } = session
  const workload = {
    kind: 'hot',
    writesPerSecond: 1e6,
    workingSetPages: totalPages / 2,
    hotShare: 0.5,
  } as const
  const fresh = new Guest({ totalPages, pageBytes, seed, workload }, 0)
  const position = decodePosition(encodePosition({ guestNs: 1e6, accesses: 1000 }))
  const resumed = new ResumedGuest(fresh, position, PageSet.full(totalPages), () => {})
  resumed.run()
  for (let page = 0; page < totalPages; page++) resumed.arrived(page)
  resumed.stop()
}
