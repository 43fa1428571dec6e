/**
 * Socket calls with names, units and errors, on plain descriptors. Knows nothing of node's sockets.
 *
 * Numbers: include/uapi/asm-generic/socket.h, linux/in.h, linux/tcp.h; the same on x64 and arm64, both little endian.
 */

import net from 'node:net'
import { assert } from '../support/assert.js'
import { environmentError } from '../support/errors.js'
import { lastError, libc, systemFailure } from './libc.js'

export const level = { ip: 0, socket: 1, tcp: 6 } as const

export const option = {
  reuseAddress: 2,
  error: 4,
  sendBuffer: 7,
  receiveBuffer: 8,
  priority: 12,
  linger: 13,
  sendBufferForce: 32,
  receiveBufferForce: 33,
  timestampNs: 35,
  maxPacingRate: 47,
  memoryInfo: 55,
  tos: 1,
  receiveTos: 13,
  noDelay: 1,
  maxSegment: 2,
  info: 11,
  congestion: 13,
  notSentLowat: 25,
} as const

const addressFamilyInet = 2
const type = { stream: 1, datagram: 2 } as const
const nonBlockingCloseOnExec = 0o4000 | 0o2000000
const notPermitted = 1
/** `struct sockaddr_in`. */
const addressBytes = 16
/** Index of the drop count in what SO_MEMINFO answers (SK_MEMINFO_DROPS). */
const memoryInfoDrops = 8

/** What every packet of a socket carries. */
export interface Mark {
  /** 0..63; goes to IP_TOS as DSCP << 2. */
  readonly dscp: number
  /** SO_PRIORITY, 0..7: the PCP that an egress map of the VLAN device derives. Above 6 it needs CAP_NET_ADMIN. */
  readonly priority: number
}

export interface Endpoint {
  /** IPv4 address. */
  readonly host: string
  readonly port: number
}

/** A non-blocking socket that no child process inherits. The caller closes it. */
export function openSocket(kind: 'stream' | 'datagram'): number {
  const fd = libc().socket(addressFamilyInet, type[kind] | nonBlockingCloseOnExec, 0)
  if (fd < 0) throw systemFailure('socket', `a ${kind} socket`, lastError())
  return fd
}

/** Sets IP_TOS, then SO_PRIORITY: IP_TOS overwrites the priority from the old TOS table (net/ipv4/ip_sockglue.c). */
export function setMark(fd: number, mark: Mark): void {
  assert(Number.isInteger(mark.dscp) && mark.dscp >= 0 && mark.dscp <= 63, 'a DSCP is 0..63')
  assert(Number.isInteger(mark.priority) && mark.priority >= 0 && mark.priority <= 7, 'a priority is 0..7')
  setInteger(fd, level.ip, option.tos, mark.dscp << 2, 'IP_TOS')
  setInteger(fd, level.socket, option.priority, mark.priority, 'SO_PRIORITY')
}

export function getMark(fd: number): Mark {
  return {
    dscp: getInteger(fd, level.ip, option.tos, 'IP_TOS') >> 2,
    priority: getInteger(fd, level.socket, option.priority, 'SO_PRIORITY'),
  }
}

export function bind(fd: number, where: Endpoint): void {
  const address = socketAddress(where)
  if (libc().bind(fd, address, address.length) === 0) return
  throw systemFailure('bind', placeOf(where), lastError())
}

/** The port that the kernel chose, or the one that was asked for. */
export function boundPort(fd: number): number {
  const address = Buffer.alloc(addressBytes)
  if (libc().getsockname(fd, address, integer(addressBytes)) === 0) return address.readUInt16BE(2)
  throw systemFailure('getsockname', `descriptor ${fd}`, lastError())
}

/** With CAP_NET_ADMIN beyond the sysctl's limit; without, the limit must be high enough. */
export function setBufferBytes(fd: number, which: 'send' | 'receive', bytes: number): void {
  const [force, plain, name] =
    which === 'send'
      ? ([option.sendBufferForce, option.sendBuffer, 'SO_SNDBUF'] as const)
      : ([option.receiveBufferForce, option.receiveBuffer, 'SO_RCVBUF'] as const)
  if (libc().setsockopt(fd, level.socket, force, integer(bytes), 4) !== 0) {
    setInteger(fd, level.socket, plain, bytes, name)
  }
  const booked = getInteger(fd, level.socket, plain, name)
  if (booked >= 2 * bytes) return
  throw environmentError(`the kernel grants ${booked / 2} of ${bytes} bytes for ${name}`, {
    code: 'socket-buffer',
    next: `Raise ${which === 'send' ? 'net.core.wmem_max' : 'net.core.rmem_max'}, or run as root.`,
  })
}

/** Datagrams that the socket itself dropped, because nobody read it in time. */
export function socketDrops(fd: number): number {
  const info = getOption(fd, level.socket, option.memoryInfo, 64, 'SO_MEMINFO')
  return info.length >= 4 * (memoryInfoDrops + 1) ? info.readUInt32LE(4 * memoryInfoDrops) : 0
}

export function setInteger(fd: number, at: number, name: number, value: number, label: string): void {
  setBytes(fd, at, name, integer(value), `${label} to ${value}`)
}

export function setBytes(fd: number, at: number, name: number, value: Buffer, what: string): void {
  if (libc().setsockopt(fd, at, name, value, value.length) === 0) return
  const error = lastError()
  if (error === notPermitted) {
    throw environmentError(`setting ${what} is not permitted`, {
      code: 'socket-permission',
      next: 'Run as root: a priority above 6 needs CAP_NET_ADMIN.',
    })
  }
  throw systemFailure('setsockopt', what, error)
}

export function getInteger(fd: number, at: number, name: number, label: string): number {
  const value = getOption(fd, at, name, 4, label)
  // IP_TOS answers with one byte when the value fits.
  return value.length >= 4 ? value.readInt32LE(0) : (value[0] ?? 0)
}

export function getOption(fd: number, at: number, name: number, maxBytes: number, label: string): Buffer {
  const value = Buffer.alloc(maxBytes)
  const length = integer(maxBytes)
  if (libc().getsockopt(fd, at, name, value, length) === 0) return value.subarray(0, length.readUInt32LE(0))
  throw systemFailure(`getsockopt ${label}`, `descriptor ${fd}`, lastError())
}

/** `struct sockaddr_in`: family in host order, port and address in network order. */
export function socketAddress(where: Endpoint): Buffer {
  assert(net.isIPv4(where.host), `'${where.host}' is an IPv4 address`)
  const address = Buffer.alloc(addressBytes)
  address.writeUInt16LE(addressFamilyInet, 0)
  address.writeUInt16BE(where.port, 2)
  for (const [i, part] of where.host.split('.').entries()) address[4 + i] = Number(part)
  return address
}

export function placeOf(where: Endpoint): string {
  return `${where.host}:${where.port}`
}

function integer(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32LE(value)
  return buffer
}
