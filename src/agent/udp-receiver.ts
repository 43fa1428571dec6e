/**
 * Receives UDP in batches and looks at the head of each datagram only. node:dgram takes a system call, an allocation
 * and an event per datagram, which costs a measured host more CPU than the cross-traffic itself.
 */

import { assert } from '../support/assert.js'
import type { PagewireError } from '../support/errors.js'
import { lastError, libc, pointerTo, systemFailure, type Watch, watch } from './libc.js'
import {
  bind,
  boundPort,
  type Endpoint,
  level,
  openSocket,
  option,
  placeOf,
  setBufferBytes,
  setInteger,
  socketDrops,
} from './socket-calls.js'

const batchSize = 64
/** Per wake-up, so that a flood cannot keep the event loop to itself. */
const batchesPerWake = 16
/** Reports a datagram's true length although only its head was copied (MSG_TRUNC). */
const reportWholeLength = 0x20
const tryAgain = 11

/**
 * `struct mmsghdr`, `struct iovec`, `struct sockaddr_in` and two `struct cmsghdr` with their data on 64-bit Linux: when
 * it arrived (only if asked for), then IP_TOS.
 */
const messageBytes = 64
const vectorBytes = 16
const addressBytes = 16
const controlBytes = 32 + 24
const controlLengthOffset = 40
const lengthOffset = 56
const controlLevelOffset = 8
const controlTypeOffset = 12
const controlDataOffset = 16

/** What one system call brought. Valid during the callback only. */
export interface DatagramBatch {
  readonly count: number
  /** The first `headBytes` of payload; beyond `lengthOf` it is left over from an earlier datagram. */
  head(i: number): Buffer
  /** Bytes of UDP payload. */
  lengthOf(i: number): number
  sourceOf(i: number): Endpoint
  /** The DSCP that the datagram arrived with. */
  dscpOf(i: number): number
  /** When the kernel took it off the wire, in ns since 1970; NaN unless `timestamps` was asked for. */
  arrivedUnixNs(i: number): number
}

export interface UdpReceiverOptions extends Endpoint {
  /** How much of each payload is copied. */
  readonly headBytes: number
  readonly receiveBufferBytes: number
  readonly timestamps?: true
  readonly onBatch: (batch: DatagramBatch) => void
  readonly onError: (error: PagewireError) => void
}

export interface UdpReceiver {
  readonly port: number
  /** Datagrams that the socket dropped because its buffer was full: not lost on the way. */
  drops(): number
  close(): void
}

/** Binds (port 0: any) and receives until closed. */
export function openUdpReceiver(options: UdpReceiverOptions): UdpReceiver {
  const fd = openSocket('datagram')
  try {
    setBufferBytes(fd, 'receive', options.receiveBufferBytes)
    setInteger(fd, level.ip, option.receiveTos, 1, 'IP_RECVTOS')
    if (options.timestamps) setInteger(fd, level.socket, option.timestampNs, 1, 'SO_TIMESTAMPNS')
    bind(fd, options)
    return new Receiver(fd, boundPort(fd), options)
  } catch (error) {
    libc().close(fd)
    throw error
  }
}

class Receiver implements UdpReceiver, DatagramBatch {
  count = 0
  private readonly heads: readonly Buffer[]
  // Memory that the kernel writes to through pointers: referenced here for as long as the socket is open.
  private readonly payloads: Buffer
  private readonly addresses = Buffer.alloc(batchSize * addressBytes)
  private readonly vectors = Buffer.alloc(batchSize * vectorBytes)
  private readonly messages = Buffer.alloc(batchSize * messageBytes)
  private readonly controls = Buffer.alloc(batchSize * controlBytes)
  private readonly watching: Watch
  private open = true

  constructor(
    private readonly fd: number,
    readonly port: number,
    private readonly options: UdpReceiverOptions,
  ) {
    const { headBytes } = options
    this.payloads = Buffer.alloc(batchSize * headBytes)
    this.heads = Array.from({ length: batchSize }, (_, i) =>
      this.payloads.subarray(i * headBytes, (i + 1) * headBytes),
    )
    this.layOut(headBytes)
    this.watching = watch(fd, 'readable', () => this.drain())
  }

  head(i: number): Buffer {
    return this.heads[i]!
  }

  lengthOf(i: number): number {
    return this.messages.readUInt32LE(i * messageBytes + lengthOffset)
  }

  sourceOf(i: number): Endpoint {
    const at = i * addressBytes
    return {
      host: this.addresses.subarray(at + 4, at + 8).join('.'),
      port: this.addresses.readUInt16BE(at + 2),
    }
  }

  dscpOf(i: number): number {
    const at = this.control(i, level.ip, option.tos)
    assert(at !== undefined, 'IP_TOS was asked for')
    return this.controls.readUInt8(at + controlDataOffset) >> 2
  }

  arrivedUnixNs(i: number): number {
    const at = this.control(i, level.socket, option.timestampNs)
    if (at === undefined) return Number.NaN
    const seconds = Number(this.controls.readBigInt64LE(at + controlDataOffset))
    return seconds * 1e9 + Number(this.controls.readBigInt64LE(at + controlDataOffset + 8))
  }

  drops(): number {
    return this.open ? socketDrops(this.fd) : 0
  }

  close(): void {
    if (!this.open) return
    this.open = false
    this.watching.close()
    libc().close(this.fd)
  }

  private drain(): void {
    for (let i = 0; i < batchesPerWake && this.open; i++) {
      this.allowControls()
      this.count = libc().recvmmsg(this.fd, this.messages, batchSize, reportWholeLength, null)
      if (this.count < 0) {
        this.readFailed(lastError())
        return
      }
      this.options.onBatch(this)
      if (this.count < batchSize) return
    }
  }

  /** Where in `controls` a control message of datagram `i` begins (cmsg(3)). */
  private control(i: number, wantedLevel: number, wantedType: number): number | undefined {
    const { controls } = this
    const end = i * controlBytes + this.messages.readUInt32LE(i * messageBytes + controlLengthOffset)
    for (let at = i * controlBytes; at + controlDataOffset <= end; ) {
      const isWanted =
        controls.readInt32LE(at + controlLevelOffset) === wantedLevel &&
        controls.readInt32LE(at + controlTypeOffset) === wantedType
      if (isWanted) return at
      at += Math.max(controlDataOffset, 8 * Math.ceil(controls.readUInt32LE(at) / 8))
    }
    return undefined
  }

  /** The kernel writes how much it used over how much there is. */
  private allowControls(): void {
    for (let i = 0; i < batchSize; i++) {
      this.messages.writeUInt32LE(controlBytes, i * messageBytes + controlLengthOffset)
    }
  }

  private readFailed(error: number): void {
    this.count = 0
    if (error === tryAgain) return
    this.close()
    this.options.onError(systemFailure('recvmmsg', placeOf(this.options), error))
  }

  private layOut(headBytes: number): void {
    for (let i = 0; i < batchSize; i++) {
      const message = i * messageBytes
      const vector = i * vectorBytes
      this.vectors.writeBigUInt64LE(pointerTo(this.payloads) + BigInt(i * headBytes), vector)
      this.vectors.writeBigUInt64LE(BigInt(headBytes), vector + 8)
      this.messages.writeBigUInt64LE(pointerTo(this.addresses) + BigInt(i * addressBytes), message)
      this.messages.writeUInt32LE(addressBytes, message + 8)
      this.messages.writeBigUInt64LE(pointerTo(this.vectors) + BigInt(vector), message + 16)
      this.messages.writeBigUInt64LE(1n, message + 24)
      this.messages.writeBigUInt64LE(pointerTo(this.controls) + BigInt(i * controlBytes), message + 32)
    }
  }
}
