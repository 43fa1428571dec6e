/**
 * TCP sockets that carry their mark from the first packet on. Node cannot set IP_TOS before connect(), so the socket
 * is made through the C library and handed to `net.Socket` as a file descriptor.
 *
 * Numbers: include/uapi/asm-generic/socket.h, linux/in.h, linux/tcp.h; the same on x64 and arm64, both little endian.
 */

import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { assert } from '../support/assert.js'
import { environmentError, failure, messageOf, type PagewireError } from '../support/errors.js'
import { lastError, libc, systemFailure, watch } from './libc.js'
import {
  bind,
  type Endpoint,
  getInteger,
  getMark,
  getOption,
  level,
  type Mark,
  openSocket,
  option,
  placeOf,
  setBufferBytes,
  setBytes,
  setInteger,
  setMark,
  socketAddress,
} from './socket-calls.js'

const duplicateCloseOnExec = 1030
const errorNumber = { inProgress: 115, notPermitted: 1, noEntry: 2 } as const
const acceptBacklog = 128
/** Room for a `struct tcp_info` of any kernel; the kernel says how much of it it filled. */
const tcpInfoBytes = 512
const algorithmNameBytes = 16

/** Options of a socket and, through inheritance, of what a listening socket accepts. */
export interface SocketTuning {
  /** For example `cubic`; the namespace's default when absent. */
  readonly congestionControl?: string
  /** Payload the socket may hold; the kernel books twice as much for its own overhead. */
  readonly sendBufferBytes?: number
  readonly receiveBufferBytes?: number
  /** Unsent bytes above which the socket is not writable (TCP_NOTSENT_LOWAT). */
  readonly notSentLowatBytes?: number
  /** Upper bound of the segment size in bytes (TCP_MAXSEG). */
  readonly maxSegment?: number
  /** Payload bytes per second that the kernel lets out at most (SO_MAX_PACING_RATE). */
  readonly maxPacingBytesPerSecond?: number
}

export interface ConnectOptions extends Mark, Endpoint, SocketTuning {
  readonly localAddress?: string
  readonly connectTimeoutMs: number
  /** Receive into own buffers, without a copy, as with `net.connect`. */
  readonly onread?: net.OnReadOpts
}

export interface ListenOptions<Reader extends net.OnReadOpts> extends Mark, Endpoint, SocketTuning {
  /** Makes the receive buffer of one accepted connection. */
  readonly onread?: () => Reader
  /** A connection is there, marked and reading; `reader` is what `onread` made for it. */
  readonly onConnection: (socket: net.Socket, reader: Reader | undefined) => void
  /** An accepted connection could not be set up, or the listening socket failed. */
  readonly onError: (error: PagewireError) => void
}

export interface MarkedListener {
  readonly host: string
  readonly port: number
  /** Stops accepting; connections that exist live on. */
  close(): Promise<void>
}

/**
 * Connects with the mark already on the SYN. Fails with `connect-failed` (the system's error as cause: ECONNREFUSED,
 * ETIMEDOUT after `connectTimeoutMs`, ...); nothing stays open after a failure.
 */
export async function connectMarked(options: ConnectOptions): Promise<net.Socket> {
  const fd = openSocket('stream')
  try {
    setMark(fd, options)
    tune(fd, options)
    if (options.localAddress !== undefined) bind(fd, { host: options.localAddress, port: 0 })
    await connect(fd, options)
  } catch (error) {
    libc().close(fd)
    throw error
  }
  return wrap(fd, options.onread)
}

/** Listens so that SYN-ACKs and everything after them carry the mark. */
export async function listenMarked<Reader extends net.OnReadOpts>(
  options: ListenOptions<Reader>,
): Promise<MarkedListener> {
  const fd = openSocket('stream')
  try {
    setInteger(fd, level.socket, option.reuseAddress, 1, 'SO_REUSEADDR')
    setMark(fd, options)
    tune(fd, options)
    bind(fd, options)
    if (libc().listen(fd, acceptBacklog) !== 0) throw systemFailure('listen', placeOf(options), lastError())
  } catch (error) {
    libc().close(fd)
    throw error
  }
  // The accepted socket only lends its descriptor, so nothing may be read from it before `adopt`.
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => adopt(accepted, options))
  await listening(server, fd, options)
  server.on('error', (error) => options.onError(socketFailure('accept', options, error)))
  const address = server.address()
  assert(address !== null && typeof address === 'object', 'a TCP server has an address')
  return {
    host: address.address,
    port: address.port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** The mark as the kernel has it. */
export function markOf(socket: net.Socket): Mark {
  return getMark(descriptorOf(socket))
}

/** Chooses the congestion control of one socket. Needs CAP_NET_ADMIN when the sysctl does not allow the algorithm. */
export function setCongestionControl(socket: net.Socket, algorithm: string): void {
  setAlgorithm(descriptorOf(socket), algorithm)
}

/** The congestion control in use, for example `cubic`. */
export function congestionControl(socket: net.Socket): string {
  const value = getOption(
    descriptorOf(socket),
    level.tcp,
    option.congestion,
    algorithmNameBytes,
    'TCP_CONGESTION',
  )
  const end = value.indexOf(0)
  return value.toString('latin1', 0, end === -1 ? value.length : end)
}

/**
 * Closes a connection with a reset: what either side still holds is thrown away. Not node's `resetAndDestroy`: that
 * fails on a socket which is shutting down, and leaves a handle behind on which the event loop then spins.
 */
export function resetConnection(socket: net.Socket): void {
  if (socket.destroyed) return
  const lingerForNothing = Buffer.alloc(8)
  lingerForNothing.writeInt32LE(1, 0)
  setBytes(descriptorOf(socket), level.socket, option.linger, lingerForNothing, 'SO_LINGER')
  socket.destroy()
}

/** The sender's view of a connection, from TCP_INFO. */
export interface TcpInfo {
  readonly rttNs: number
  readonly rttVarianceNs: number
  readonly minRttNs: number
  /** Segments retransmitted over the life of the connection. */
  readonly retransmits: number
  readonly retransmitTimeoutNs: number
  /** Congestion window in segments of `segmentBytes`. */
  readonly congestionWindow: number
  readonly segmentBytes: number
  /** Segments in flight, and those of them that the kernel believes lost. */
  readonly unackedSegments: number
  readonly lostSegments: number
  /** Bytes in the send buffer that were not sent once. */
  readonly notSentBytes: number
  readonly ackedBytes: number
  readonly receivedBytes: number
  /** Segments as on the wire, retransmissions included; those without payload are in the totals only. */
  readonly segmentsOut: number
  readonly segmentsIn: number
  readonly dataSegmentsOut: number
  readonly dataSegmentsIn: number
  readonly sentBytes: number
  readonly retransmittedBytes: number
  readonly deliveryRateBps: number
  /** Time the connection was limited by the receiver's window or by its own send buffer. */
  readonly receiverLimitedNs: number
  readonly senderLimitedNs: number
}

/** Reads TCP_INFO of an open socket. Fields that an old kernel lacks are 0. */
export function tcpInfo(socket: net.Socket): TcpInfo {
  const got = getOption(descriptorOf(socket), level.tcp, option.info, tcpInfoBytes, 'TCP_INFO')
  const info = Buffer.alloc(tcpInfoBytes)
  got.copy(info)
  const uint64 = (at: number): number => Number(info.readBigUInt64LE(at))
  return {
    retransmitTimeoutNs: info.readUInt32LE(8) * 1000,
    segmentBytes: info.readUInt32LE(16),
    unackedSegments: info.readUInt32LE(24),
    lostSegments: info.readUInt32LE(32),
    rttNs: info.readUInt32LE(68) * 1000,
    rttVarianceNs: info.readUInt32LE(72) * 1000,
    congestionWindow: info.readUInt32LE(80),
    retransmits: info.readUInt32LE(100),
    ackedBytes: uint64(120),
    receivedBytes: uint64(128),
    segmentsOut: info.readUInt32LE(136),
    segmentsIn: info.readUInt32LE(140),
    notSentBytes: info.readUInt32LE(144),
    minRttNs: info.readUInt32LE(148) * 1000,
    dataSegmentsIn: info.readUInt32LE(152),
    dataSegmentsOut: info.readUInt32LE(156),
    deliveryRateBps: uint64(160) * 8,
    receiverLimitedNs: uint64(176) * 1000,
    senderLimitedNs: uint64(184) * 1000,
    sentBytes: uint64(200),
    retransmittedBytes: uint64(208),
  }
}

/** Puts an accepted connection into a `net.Socket` of our own, because `net.Server` knows no `onread`. */
function adopt<Reader extends net.OnReadOpts>(accepted: net.Socket, options: ListenOptions<Reader>): void {
  let fd = -1
  try {
    fd = libc().fcntl(descriptorOf(accepted), duplicateCloseOnExec, 'int', 0)
    if (fd < 0) throw systemFailure('fcntl F_DUPFD_CLOEXEC', 'an accepted connection', lastError())
    accepted.destroy() // Closes the first descriptor; the connection lives through the second.
    setMark(fd, options)
    tune(fd, options)
  } catch (error) {
    accepted.destroy()
    if (fd >= 0) libc().close(fd)
    options.onError(socketFailure('accept', options, error))
    return
  }
  const reader = options.onread?.()
  options.onConnection(wrap(fd, reader), reader)
}

function listening(server: net.Server, fd: number, where: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    // The server owns the descriptor from here on and closes it when it fails.
    const refused = (error: Error): void => reject(socketFailure('listen', where, error))
    server.once('error', refused)
    server.listen({ fd, backlog: acceptBacklog }, () => {
      server.off('error', refused)
      resolve()
    })
  })
}

function wrap(fd: number, onread: net.OnReadOpts | undefined): net.Socket {
  // Node's constructor has taken `onread` since 12.10; its types know it for net.connect only.
  const options: net.SocketConstructorOpts & { onread?: net.OnReadOpts } = {
    fd,
    readable: true,
    writable: true,
    ...(onread && { onread }),
  }
  const socket = new net.Socket(options)
  descriptors.set(socket, fd)
  return socket
}

/** Descriptors of our own sockets; those of others are read from their handle. */
const descriptors = new WeakMap<net.Socket, number>()

/** The descriptor of an open socket. It is the socket's: whoever keeps it may write to somebody else's later. */
export function descriptorOf(socket: net.Socket): number {
  assert(!socket.destroyed, 'the socket is open')
  const known = descriptors.get(socket)
  if (known !== undefined) return known
  // Node has no public way from a socket to its descriptor; the handle's `fd` has been there since 0.12.
  const handle = '_handle' in socket ? (socket._handle as { fd?: unknown } | null) : null
  const fd = handle?.fd
  assert(typeof fd === 'number' && fd >= 0, 'an open socket has a descriptor')
  return fd
}

async function connect(fd: number, options: ConnectOptions): Promise<void> {
  const address = socketAddress(options)
  const place = placeOf(options)
  if (libc().connect(fd, address, address.length) === 0) return
  const error = lastError()
  if (error !== errorNumber.inProgress) throw connectFailure(place, getSystemErrorName(-error))
  if (!(await writable(fd, options.connectTimeoutMs))) throw connectFailure(place, 'ETIMEDOUT')
  const outcome = getInteger(fd, level.socket, option.error, 'SO_ERROR')
  if (outcome !== 0) throw connectFailure(place, getSystemErrorName(-outcome))
}

/** Resolves with true when the descriptor can be written (or has failed), with false after the timeout. */
function writable(fd: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const poll = watch(fd, 'writable', () => finish(true))
    const timer = setTimeout(() => finish(false), timeoutMs)
    function finish(ready: boolean): void {
      clearTimeout(timer)
      poll.close()
      resolve(ready)
    }
  })
}

function tune(fd: number, tuning: SocketTuning): void {
  setInteger(fd, level.tcp, option.noDelay, 1, 'TCP_NODELAY')
  if (tuning.congestionControl !== undefined) setAlgorithm(fd, tuning.congestionControl)
  if (tuning.sendBufferBytes !== undefined) setBufferBytes(fd, 'send', tuning.sendBufferBytes)
  if (tuning.receiveBufferBytes !== undefined) setBufferBytes(fd, 'receive', tuning.receiveBufferBytes)
  if (tuning.notSentLowatBytes !== undefined) {
    setInteger(fd, level.tcp, option.notSentLowat, tuning.notSentLowatBytes, 'TCP_NOTSENT_LOWAT')
  }
  if (tuning.maxSegment !== undefined)
    setInteger(fd, level.tcp, option.maxSegment, tuning.maxSegment, 'TCP_MAXSEG')
  if (tuning.maxPacingBytesPerSecond !== undefined) {
    const rate = Math.ceil(tuning.maxPacingBytesPerSecond)
    setInteger(fd, level.socket, option.maxPacingRate, rate, 'SO_MAX_PACING_RATE')
  }
}

function setAlgorithm(fd: number, algorithm: string): void {
  const name = Buffer.from(algorithm, 'latin1')
  if (libc().setsockopt(fd, level.tcp, option.congestion, name, name.length) === 0) return
  const error = lastError()
  if (error !== errorNumber.noEntry && error !== errorNumber.notPermitted) {
    throw systemFailure('setsockopt TCP_CONGESTION', algorithm, error)
  }
  throw environmentError(
    `the kernel refuses the congestion control '${algorithm}' (${getSystemErrorName(-error)})`,
    {
      code: 'congestion-control',
      next:
        error === errorNumber.noEntry
          ? `Load it with 'modprobe tcp_${algorithm}', or choose one of net.ipv4.tcp_available_congestion_control.`
          : 'Run as root, or add it to net.ipv4.tcp_allowed_congestion_control.',
    },
  )
}

function connectFailure(place: string, errorName: string): PagewireError {
  return failure(`cannot connect to ${place}: ${errorName}`, {
    code: 'connect-failed',
    cause: Object.assign(new Error(`connect ${errorName} ${place}`), { code: errorName }),
  })
}

function socketFailure(what: string, where: Endpoint, error: unknown): PagewireError {
  return failure(`cannot ${what} on ${placeOf(where)}: ${messageOf(error)}`, {
    code: `${what}-failed`,
    cause: error,
  })
}
