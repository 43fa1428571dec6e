/**
 * Frames off and onto a live interface. The only file that imports cap, and it hides what cap gets wrong: the receive
 * buffer is kept alive here, and frames come without the time and length fields that cap does not have.
 *
 * One thing cannot be hidden: when the interface goes down or disappears, cap aborts the whole process. Whoever opens
 * an interface therefore does it in a process of its own; see meter.ts.
 */

import { createRequire } from 'node:module'
import { environmentError, failure, messageOf, type PagewireError, usageError } from '../support/errors.js'

/** The largest that libpcap hands over (its snaplen is fixed at 65535 by cap). */
const frameBufferBytes = 65_536
/** Held 500 Mbit/s of MTU frames; 64 KiB lose half of them. */
const captureRingBytes = 32 * 2 ** 20
/** An injector only sends: a filter that no frame passes keeps its ring empty. */
const injectorRingBytes = 256 * 1024
const passNothing = 'less 1'
/** Some thousand small frames: a second of questions. */
const cardRingBytes = 4 * 2 ** 20

export interface LiveCapture {
  close(): void
}

/**
 * Captures both directions of an interface, promiscuously. `bytes` is one and the same array at each call; the frame
 * is its first `length` bytes. `filter`: only these, in the words of pcap-filter(7). Usage error for an unknown interface or one without Ethernet frames, environment error
 * without privilege.
 */
export function openLive(
  device: string,
  onFrame: (bytes: Uint8Array, length: number) => void,
  filter = '',
): LiveCapture {
  const { cap, buffer } = open(device, filter, captureRingBytes)
  cap.on('packet', (length: number) => onFrame(buffer, length))
  return { close: () => close(cap) }
}

/** `full`: no room in the queues at this moment, trying again may help. `refused`: this frame, or all, cannot go. */
export type Injected = 'sent' | 'full' | 'refused'

export interface Injector {
  /** Why the last frame was not sent, in the kernel's words. */
  readonly reason: string
  /** Puts the first `length` bytes of `frame` on the wire as they are, tag and all. */
  send(frame: Buffer, length: number): Injected
  close(): void
}

/** Opens an interface for sending whole frames. */
export function openInjector(device: string): Injector {
  return new CapInjector(open(device, passNothing, injectorRingBytes).cap)
}

export interface CardPort extends LiveCapture {
  readonly injector: Injector
}

/** Takes the frames that pass the filter (pcap-filter(7)) off an interface, and sends others: a network card of its own. */
export function openCardPort(
  device: string,
  filter: string,
  onFrame: (bytes: Uint8Array, length: number) => void,
): CardPort {
  const { cap, buffer } = open(device, filter, cardRingBytes)
  cap.on('packet', (length: number) => onFrame(buffer, length))
  const injector = new CapInjector(cap)
  return { injector, close: () => injector.close() }
}

class CapInjector implements Injector {
  reason = ''

  constructor(private readonly cap: Cap) {}

  send(frame: Buffer, length: number): Injected {
    try {
      this.cap.send(frame, length)
      return 'sent'
    } catch (error) {
      this.reason = messageOf(error)
      // EAGAIN and ENOBUFS, in the words of the C library.
      return /temporarily unavailable|no buffer space/i.test(this.reason) ? 'full' : 'refused'
    }
  }

  close(): void {
    close(this.cap)
  }
}

/** Everything that is open, with the memory that libpcap's callback writes to. */
const kept = new Map<Cap, Buffer>()

function open(device: string, filter: string, ringBytes: number): { cap: Cap; buffer: Buffer } {
  const { Cap } = native()
  const cap = new Cap()
  const buffer = Buffer.alloc(frameBufferBytes)
  kept.set(cap, buffer)
  const linkType = openAs(cap, [device, filter, ringBytes, buffer])
  if (linkType === 'ETHERNET') return { cap, buffer }
  close(cap)
  throw usageError(`${device} carries ${linkType}, not Ethernet frames`, { code: 'not-ethernet' })
}

/** An object that failed to open stays in `kept`: its destructor would stop a poll that was never begun, and abort. */
function openAs(cap: Cap, args: Parameters<Cap['open']>): string {
  try {
    return cap.open(...args)
  } catch (error) {
    throw openFailure(args[0], error)
  }
}

function close(cap: Cap): void {
  cap.close()
  // Frames that are being handed over at this moment still land in the buffer.
  setImmediate(() => kept.delete(cap))
}

function openFailure(device: string, error: unknown): PagewireError {
  const reason = messageOf(error)
  const detail = { code: 'cannot-capture', cause: error }
  if (/no such device|doesn't exist/i.test(reason)) {
    return usageError(`there is no interface '${device}'`, {
      ...detail,
      code: 'unknown-interface',
      next: 'List them with: ip link',
    })
  }
  if (/permi/i.test(reason)) {
    const next = 'Run as root: capturing needs CAP_NET_RAW.'
    return environmentError(`capturing on ${device} is not permitted`, { ...detail, next })
  }
  return failure(`cannot capture on ${device}: ${reason}`, detail)
}

/** As much of cap 0.2 as is used here; it brings no types. */
interface Cap {
  open(device: string, filter: string, ringBytes: number, buffer: Buffer): string
  on(event: 'packet', listener: (length: number, truncated: boolean) => void): void
  send(frame: Buffer, length: number): void
  close(): void
}

interface CapModule {
  readonly Cap: new () => Cap
}

let loaded: CapModule | undefined

function native(): CapModule {
  if (loaded) return loaded
  try {
    loaded = createRequire(import.meta.url)('cap') as CapModule
  } catch (cause) {
    throw environmentError(`the native module cap cannot be loaded: ${messageOf(cause)}`, {
      code: 'native-module',
      next: "Install libpcap-dev and a C++ compiler, then run 'npm ci' with install scripts allowed.",
      cause,
    })
  }
  return loaded
}
