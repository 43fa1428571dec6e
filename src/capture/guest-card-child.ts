/**
 * The process that is a guest's network card on one host: an agent starts it and tells it when the guest runs and when
 * it is suspended, one letter each on stdin; it says so back, one JSON line each. Its own process, because cap aborts
 * it when the interface goes away. Arguments: interface, the card as JSON. It ends when its stdin does.
 */

import { messageOf, PagewireError } from '../support/errors.js'
import { type GuestCard, GuestFrames } from './guest-card.js'
import { openCardPort } from './live.js'

/** What an agent hears. */
export type CardMessage =
  | { readonly ready: true }
  | { readonly running: boolean }
  | { readonly error: { readonly code: string; readonly message: string } }

const letters = { run: 0x72, suspend: 0x73 } as const

const [device = '', card = ''] = process.argv.slice(2)

try {
  serve(device, JSON.parse(card) as GuestCard)
} catch (error) {
  const code = error instanceof PagewireError ? error.code : 'internal'
  say({ error: { code, message: messageOf(error) } })
  process.exitCode = 1
}

function serve(name: string, guest: GuestCard): void {
  const frames = new GuestFrames(guest)
  let running = false
  const filter = `(ether dst ${guest.mac} or ether broadcast) and not ether src ${guest.mac}`
  const port = openCardPort(name, filter, (bytes, length) => {
    if (!running) return
    const answer = frames.answer(bytes, length)
    if (answer !== undefined) port.injector.send(answer, answer.length)
  })
  process.stdin.on('data', (bytes: Buffer) => {
    for (const letter of bytes) {
      running = letter === letters.run
      if (running) {
        const announcement = frames.announcement()
        port.injector.send(announcement, announcement.length)
      }
      say({ running })
    }
  })
  process.stdin.once('end', () => port.close())
  say({ ready: true })
}

function say(message: CardMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
