/**
 * What the set-up of a migration computes, computed once before it: a program's first call of anything is slow, and
 * a hypervisor has long been running when it is told to migrate.
 */

import { pageContent } from '../memory/content.js'
import { libc } from './libc.js'
import { newSecret, prove } from './proof.js'
import { deviceState } from './session.js'

const pageBytes = 4096
const deviceBytes = 2 ** 18

export function warmUp(): void {
  libc()
  prove(newSecret(), 'source', 0, newSecret(), newSecret())
  pageContent({ kind: 'random' }, pageBytes, 0)
  deviceState(0, deviceBytes)
}
