/**
 * The few calls of the C library that node has no way to make, on Linux x64 and arm64. The only file that imports
 * koffi, which it loads at first use, so that commands without sockets run where koffi is absent.
 */

import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import { assert } from '../support/assert.js'
import { environmentError, failure, messageOf, type PagewireError } from '../support/errors.js'

/** Numbers as in the C library; a negative result means that `lastError` says why. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number
  bind(fd: number, address: Buffer, length: number): number
  listen(fd: number, backlog: number): number
  connect(fd: number, address: Buffer, length: number): number
  getsockname(fd: number, address: Buffer, length: Buffer): number
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number
  /** `pieces` is an array of `struct iovec`. */
  writev(fd: number, pieces: Buffer, count: number): number
  /** `messages` is an array of `struct mmsghdr`; `timeout` is always null here. */
  recvmmsg(fd: number, messages: Buffer, count: number, flags: number, timeout: null): number
  /** Variadic: koffi wants the type of the last argument beside it. */
  fcntl(fd: number, command: number, type: 'int', value: number): number
  close(fd: number): number
}

export function libc(): Libc {
  if (loadedLibc) return loadedLibc
  assert(process.platform === 'linux', 'marked sockets are made on Linux')
  const library = native().load(null)
  loadedLibc = {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, const void *, uint32_t)'),
    listen: library.func('int listen(int, int)'),
    connect: library.func('int connect(int, const void *, uint32_t)'),
    getsockname: library.func('int getsockname(int, void *, void *)'),
    setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)'),
    getsockopt: library.func('int getsockopt(int, int, int, void *, void *)'),
    writev: library.func('long writev(int, const void *, int)'),
    recvmmsg: library.func('int recvmmsg(int, void *, uint32_t, int, void *)'),
    fcntl: library.func('int fcntl(int, int, ...)'),
    close: library.func('int close(int)'),
  }
  return loadedLibc
}

/** `errno` of the last call; read it before anything else happens. */
export function lastError(): number {
  return native().errno()
}

export interface Watch {
  close(): void
}

/** Calls back whenever the descriptor is ready or has failed, until closed. Close it before the descriptor. */
export function watch(fd: number, what: 'readable' | 'writable', ready: () => void): Watch {
  return native().node.poll(fd, { [what]: true }, ready)
}

/** Where the bytes of a buffer are. Valid while the buffer is referenced: node does not move its memory. */
export function pointerTo(buffer: Buffer): bigint {
  return native().address(buffer)
}

export function systemFailure(call: string, place: string, error: number): PagewireError {
  const name = getSystemErrorName(-error)
  return failure(`${call} failed for ${place}: ${name}`, {
    code: 'socket-failed',
    cause: Object.assign(new Error(`${call} ${name} ${place}`), { code: name }),
  })
}

type Koffi = typeof import('koffi')

let loadedKoffi: Koffi | undefined
let loadedLibc: Libc | undefined

function native(): Koffi {
  if (loadedKoffi) return loadedKoffi
  try {
    loadedKoffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch (cause) {
    throw environmentError(`the native module koffi cannot be loaded: ${messageOf(cause)}`, {
      code: 'native-module',
      next: "Run 'npm ci' with install scripts allowed; marked sockets need koffi on Linux x64 or arm64.",
      cause,
    })
  }
  return loadedKoffi
}
