/**
 * Sends whole IPv4 packets with any mark. The only file that imports raw-socket. Send only: a raw socket of protocol
 * 255 receives nothing, so that no copy of the host's other traffic piles up in it.
 */

import { createRequire } from 'node:module'
import { environmentError, failure, messageOf } from '../support/errors.js'
import { level, type Mark, option } from './socket-calls.js'

/** IPPROTO_RAW: the packet brings its own IP header (raw(7)). */
const protocolRaw = 255

export interface RawSender {
  /**
   * Sends one packet: an IPv4 header (the kernel fills in total length and checksum) and what follows. False when
   * the kernel has no room just now. Throws a failure for anything else, such as a packet larger than the MTU.
   */
  send(packet: Buffer, destination: string): boolean
  close(): void
}

/** Opens a sender for packets of one mark. Needs CAP_NET_RAW, and CAP_NET_ADMIN for a priority above 6. */
export function openRawSender(mark: Mark, sendBufferBytes: number): RawSender {
  const socket = open()
  try {
    // The header of each packet carries the DSCP itself; IP_TOS is for the route lookup. It overwrites SO_PRIORITY.
    socket.setOption(level.ip, option.tos, mark.dscp << 2)
    socket.setOption(level.socket, option.priority, mark.priority)
    socket.setOption(level.socket, option.sendBufferForce, sendBufferBytes)
  } catch (cause) {
    socket.close()
    throw environmentError(`cannot mark a raw socket: ${messageOf(cause)}`, {
      code: 'socket-permission',
      next: 'Run as root: a priority above 6 needs CAP_NET_ADMIN.',
      cause,
    })
  }
  socket.on('error', () => {}) // Reported by `send`, which fails with it.
  socket.pauseRecv()
  return {
    send: (packet, destination) => send(socket, packet, destination),
    close: () => {
      socket.close()
    },
  }
}

function send(socket: RawSocket, packet: Buffer, destination: string): boolean {
  try {
    // The package's own `send` waits for one event per packet; its inner call is sendto() itself.
    socket.wrap.send(packet, 0, packet.length, destination, sent)
    return true
  } catch (cause) {
    if (noRoom.test(messageOf(cause))) return false
    throw failure(`cannot send ${packet.length} bytes to ${destination}: ${messageOf(cause)}`, {
      code: 'send-failed',
      cause,
    })
  }
}

function sent(): void {}

/** strerror() of EAGAIN and ENOBUFS; the package does not give the number. */
const noRoom = /resource temporarily unavailable|no buffer space available/i

function open(): RawSocket {
  const { createSocket } = native()
  try {
    return createSocket({ protocol: protocolRaw })
  } catch (cause) {
    throw environmentError(`cannot open a raw socket: ${messageOf(cause)}`, {
      code: 'raw-socket',
      next: 'Run as root: raw sockets need CAP_NET_RAW.',
      cause,
    })
  }
}

/** As much of raw-socket 1.8 as is used here; it brings no types. */
interface RawSocket {
  readonly wrap: {
    send(buffer: Buffer, offset: number, length: number, address: string, done: () => void): void
  }
  setOption(level: number, option: number, value: number): void
  pauseRecv(): void
  close(): void
  on(event: 'error', listener: (error: Error) => void): void
}

interface RawSocketModule {
  createSocket(options: { readonly protocol: number }): RawSocket
}

let loaded: RawSocketModule | undefined

function native(): RawSocketModule {
  if (loaded) return loaded
  try {
    loaded = createRequire(import.meta.url)('raw-socket') as RawSocketModule
  } catch (cause) {
    throw environmentError(`the native module raw-socket cannot be loaded: ${messageOf(cause)}`, {
      code: 'native-module',
      next: "Run 'npm ci' with install scripts allowed; it needs a C++ compiler, make and python3.",
      cause,
    })
  }
  return loaded
}
