/**
 * TCP sockets that carry their mark from the first packet on. Node cannot set IP_TOS before connect(), so the socket
 * is made through koffi and handed to `net.Socket` as a file descriptor. The only file that imports koffi.
 *
 * Numbers: include/uapi/asm-generic/socket.h, linux/in.h, linux/tcp.h; the same on x64 and arm64, both little endian.
 */

import { createRequire } from 'node:module'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { assert } from '../support/assert.js'
import { environmentError, failure, messageOf, type PagewireError } from '../support/errors.js'

const level = { ip: 0, socket: 1, tcp: 6 } as const
const option = {
  reuseAddress: 2,
  error: 4,
  sendBuffer: 7,
  receiveBuffer: 8,
  priority: 12,
  sendBufferForce: 32,
  receiveBufferForce: 33,
  tos: 1,
  noDelay: 1,
  maxSegment: 2,
  info: 11,
  congestion: 13,
  notSentLowat: 25,
} as const
const addressFamilyInet = 2
const streamNonBlockingCloseOnExec = 1 | 0o4000 | 0o2000000
const duplicateCloseOnExec = 1030
const errorNumber = { inProgress: 115, permission: 1, noEntry: 2 } as const
const acceptBacklog = 128
/** Room for a `struct tcp_info` of any kernel; the kernel says how much of it it filled. */
const tcpInfoBytes = 512
const algorithmNameBytes = 16

/** What every packet of a socket carries. */
export interface Mark {
  /** 0..63; goes to IP_TOS as DSCP << 2. */
  readonly dscp: number
  /** SO_PRIORITY, 0..7: the PCP that an egress map of the VLAN device derives. Above 6 it needs CAP_NET_ADMIN. */
  readonly priority: number
}

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
}

export interface ConnectOptions extends Mark, SocketTuning {
  /** IPv4 address. */
  readonly host: string
  readonly port: number
  readonly localAddress?: string
  readonly connectTimeoutMs: number
  /** Receive into own buffers, without a copy, as with `net.connect`. */
  readonly onread?: net.OnReadOpts
}

export interface ListenOptions<Reader extends net.OnReadOpts> extends Mark, SocketTuning {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
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
  const fd = openSocket()
  try {
    setMark(fd, options)
    tune(fd, options)
    if (options.localAddress !== undefined) bind(fd, options.localAddress, 0)
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
  const fd = openSocket()
  try {
    setInteger(fd, level.socket, option.reuseAddress, 1, 'SO_REUSEADDR')
    setMark(fd, options)
    tune(fd, options)
    bind(fd, options.host, options.port)
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

/** Sets IP_TOS, then SO_PRIORITY: IP_TOS overwrites the priority from the old TOS table (net/ipv4/ip_sockglue.c). */
export function setMark(fd: number, mark: Mark): void {
  assert(Number.isInteger(mark.dscp) && mark.dscp >= 0 && mark.dscp <= 63, 'a DSCP is 0..63')
  assert(Number.isInteger(mark.priority) && mark.priority >= 0 && mark.priority <= 7, 'a priority is 0..7')
  setInteger(fd, level.ip, option.tos, mark.dscp << 2, 'IP_TOS')
  setInteger(fd, level.socket, option.priority, mark.priority, 'SO_PRIORITY')
}

/** The mark as the kernel has it. */
export function markOf(socket: net.Socket): Mark {
  const fd = descriptorOf(socket)
  return {
    dscp: getInteger(fd, level.ip, option.tos, 'IP_TOS') >> 2,
    priority: getInteger(fd, level.socket, option.priority, 'SO_PRIORITY'),
  }
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
    notSentBytes: info.readUInt32LE(144),
    minRttNs: info.readUInt32LE(148) * 1000,
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

function listening(server: net.Server, fd: number, where: Place): Promise<void> {
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

function descriptorOf(socket: net.Socket): number {
  assert(!socket.destroyed, 'the socket is open')
  const known = descriptors.get(socket)
  if (known !== undefined) return known
  // Node has no public way from a socket to its descriptor; the handle's `fd` has been there since 0.12.
  const handle = '_handle' in socket ? (socket._handle as { fd?: unknown } | null) : null
  const fd = handle?.fd
  assert(typeof fd === 'number' && fd >= 0, 'an open socket has a descriptor')
  return fd
}

function openSocket(): number {
  const fd = libc().socket(addressFamilyInet, streamNonBlockingCloseOnExec, 0)
  if (fd < 0) throw systemFailure('socket', 'a TCP socket', lastError())
  return fd
}

function bind(fd: number, host: string, port: number): void {
  const address = socketAddress(host, port)
  if (libc().bind(fd, address, address.length) === 0) return
  throw systemFailure('bind', placeOf({ host, port }), lastError())
}

async function connect(fd: number, options: ConnectOptions): Promise<void> {
  const address = socketAddress(options.host, options.port)
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
    const poll = native().node.poll(fd, { writable: true }, () => finish(true))
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
  if (tuning.sendBufferBytes !== undefined) {
    setBuffer(fd, option.sendBufferForce, option.sendBuffer, tuning.sendBufferBytes, 'SO_SNDBUF')
  }
  if (tuning.receiveBufferBytes !== undefined) {
    setBuffer(fd, option.receiveBufferForce, option.receiveBuffer, tuning.receiveBufferBytes, 'SO_RCVBUF')
  }
  if (tuning.notSentLowatBytes !== undefined) {
    setInteger(fd, level.tcp, option.notSentLowat, tuning.notSentLowatBytes, 'TCP_NOTSENT_LOWAT')
  }
  if (tuning.maxSegment !== undefined)
    setInteger(fd, level.tcp, option.maxSegment, tuning.maxSegment, 'TCP_MAXSEG')
}

/** With CAP_NET_ADMIN beyond the sysctl's limit; without, the limit must be high enough. */
function setBuffer(fd: number, force: number, plain: number, bytes: number, name: string): void {
  if (libc().setsockopt(fd, level.socket, force, integer(bytes), 4) !== 0) {
    setInteger(fd, level.socket, plain, bytes, name)
  }
  const booked = getInteger(fd, level.socket, plain, name)
  if (booked >= 2 * bytes) return
  throw environmentError(`the kernel grants ${booked / 2} of ${bytes} bytes for ${name}`, {
    code: 'socket-buffer',
    next: `Raise ${name === 'SO_SNDBUF' ? 'net.core.wmem_max' : 'net.core.rmem_max'}, or run as root.`,
  })
}

function setAlgorithm(fd: number, algorithm: string): void {
  const name = Buffer.from(algorithm, 'latin1')
  if (libc().setsockopt(fd, level.tcp, option.congestion, name, name.length) === 0) return
  const error = lastError()
  if (error !== errorNumber.noEntry && error !== errorNumber.permission) {
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

function setInteger(fd: number, at: number, name: number, value: number, label: string): void {
  if (libc().setsockopt(fd, at, name, integer(value), 4) === 0) return
  const error = lastError()
  if (error === errorNumber.permission) {
    throw environmentError(`setting ${label} to ${value} is not permitted`, {
      code: 'socket-permission',
      next: 'Run as root: a priority above 6 needs CAP_NET_ADMIN.',
    })
  }
  throw systemFailure(`setsockopt ${label}`, String(value), error)
}

function getInteger(fd: number, at: number, name: number, label: string): number {
  const value = getOption(fd, at, name, 4, label)
  // IP_TOS answers with one byte when the value fits.
  return value.length >= 4 ? value.readInt32LE(0) : (value[0] ?? 0)
}

function getOption(fd: number, at: number, name: number, maxBytes: number, label: string): Buffer {
  const value = Buffer.alloc(maxBytes)
  const length = integer(maxBytes)
  if (libc().getsockopt(fd, at, name, value, length) === 0) return value.subarray(0, length.readUInt32LE(0))
  throw systemFailure(`getsockopt ${label}`, `descriptor ${fd}`, lastError())
}

function integer(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32LE(value)
  return buffer
}

/** `struct sockaddr_in`: family in host order, port and address in network order. */
function socketAddress(host: string, port: number): Buffer {
  assert(net.isIPv4(host), `'${host}' is an IPv4 address`)
  const address = Buffer.alloc(16)
  address.writeUInt16LE(addressFamilyInet, 0)
  address.writeUInt16BE(port, 2)
  for (const [i, part] of host.split('.').entries()) address[4 + i] = Number(part)
  return address
}

function connectFailure(place: string, errorName: string): PagewireError {
  return failure(`cannot connect to ${place}: ${errorName}`, {
    code: 'connect-failed',
    cause: Object.assign(new Error(`connect ${errorName} ${place}`), { code: errorName }),
  })
}

function systemFailure(call: string, place: string, error: number): PagewireError {
  const name = getSystemErrorName(-error)
  return failure(`${call} failed for ${place}: ${name}`, {
    code: 'socket-failed',
    cause: Object.assign(new Error(`${call} ${name} ${place}`), { code: name }),
  })
}

interface Place {
  readonly host: string
  readonly port: number
}

function placeOf(where: Place): string {
  return `${where.host}:${where.port}`
}

function socketFailure(what: string, where: Place, error: unknown): PagewireError {
  return failure(`cannot ${what} on ${placeOf(where)}: ${messageOf(error)}`, {
    code: `${what}-failed`,
    cause: error,
  })
}

interface Libc {
  socket(family: number, type: number, protocol: number): number
  bind(fd: number, address: Buffer, length: number): number
  connect(fd: number, address: Buffer, length: number): number
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number
  listen(fd: number, backlog: number): number
  /** Variadic: koffi wants the type of the last argument beside it. */
  fcntl(fd: number, command: number, type: 'int', value: number): number
  close(fd: number): number
}

type Koffi = typeof import('koffi')

let loadedKoffi: Koffi | undefined
let loadedLibc: Libc | undefined

function lastError(): number {
  return native().errno()
}

/** Loaded at first use, so that commands without sockets run where koffi is absent. */
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

function libc(): Libc {
  if (loadedLibc) return loadedLibc
  assert(process.platform === 'linux', 'marked sockets are made on Linux')
  const library = native().load(null)
  loadedLibc = {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, const void *, uint32_t)'),
    connect: library.func('int connect(int, const void *, uint32_t)'),
    setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)'),
    getsockopt: library.func('int getsockopt(int, int, int, void *, void *)'),
    listen: library.func('int listen(int, int)'),
    fcntl: library.func('int fcntl(int, int, ...)'),
    close: library.func('int close(int)'),
  }
  return loadedLibc
}
