/** What every capture format gives: the next record of a window, as numbers in one object that is used again and again. */

import type { Frame } from './frame.js'
import type { SegmentBatch } from './segment-batch.js'
import type { Window } from './window.js'

/** How pcapng files begin; the same in both byte orders. */
export const sectionHeaderType = 0x0a0d0d0a

/** Results of `RecordScanner.next`. */
export const step = {
  /** `frame` is the next one. */
  record: 1,
  /** The window ends inside a record. */
  more: 0,
  /** The file breaks its own format here; `problem` says how. */
  broken: -1,
} as const

/** Absolute time of nanosecond 0: the whole second of the first frame read. Captures that are compared share one. */
export class TimeBase {
  /** Seconds since 1970; undefined before the first frame. */
  seconds: number | undefined
}

/** Where and why reading stopped before the end. */
export interface CaptureProblem {
  readonly kind: 'truncated' | 'malformed'
  /** Byte offset, in the decompressed file, of the record that is incomplete or impossible. */
  readonly offset: number
  readonly message: string
}

export interface RecordScanner {
  /** Name of the format, as results show it. */
  readonly format: string
  readonly problem: CaptureProblem | undefined
  /** Bytes kept of each frame (snaplen), the largest of the file's interfaces; 0 when the file sets no limit. */
  readonly snapLength: number
  readonly linkTypes: readonly number[]
  /** Frames that the capturing program says it missed; undefined if the format does not say. */
  readonly dropped: number | undefined
  /** Moves to the next frame. Allocates nothing per frame. */
  next(window: Window, frame: Frame): number
  /**
   * Moves over the frames that come next as long as they go into batches (see there), and puts their rows into `batch`.
   * May leave some, or all, to `next`.
   */
  gather(window: Window, batch: SegmentBatch): void
  /** Says what is wrong when the file ends with `rest` unread bytes at `offset`; undefined if that is a good end. */
  atEnd(rest: number, offset: number): CaptureProblem | undefined
}

/** No link layer that is read here has larger frames; libpcap and Wireshark use the same bound. */
export const maxFrameBytes = 262_144
