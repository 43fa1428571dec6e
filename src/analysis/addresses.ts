/** Network addresses between text and the integers that frames are decoded to. */

import { usageError } from '../support/errors.js'
import { mix32 } from '../support/random.js'

/** `10.0.0.1` as a signed 32-bit integer. */
export function parseIpv4(text: string): number {
  const parts = text.split('.').map(Number)
  const valid =
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)
  if (!valid) throw usageError(`'${text}' is not an IPv4 address`, { code: 'bad-address' })
  return parts.reduce((sum, part) => (sum << 8) | part, 0)
}

/** A signed 32-bit integer as `10.0.0.1`. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}

/** `02:00:00:00:00:01` as a 48-bit integer. */
export function parseMac(text: string): number {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw usageError(`'${text}' is not a MAC address`, { code: 'bad-address' })
  }
  return Number.parseInt(text.replaceAll(':', ''), 16)
}

/** The 16 bytes at `at` as RFC 5952 writes them: `2001:db8::1`. */
export function formatIpv6(view: DataView, at: number): string {
  const words = Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i))
  const zeros = longestZeros(words)
  const text = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(':')
  if (zeros.length < 2) return text(words)
  return `${text(words.slice(0, zeros.start))}::${text(words.slice(zeros.start + zeros.length))}`
}

/** The longest run of zero words; the first of several. */
function longestZeros(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < words.length; start++) {
    let length = 0
    while (words[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}

const none = -1

/** Numbers for IPv6 addresses, so that they can be compared like IPv4 ones. */
export class AddressBook {
  private words = new Int32Array(4 << 8)
  private next = new Int32Array(1 << 8)
  private slots = new Int32Array(1 << 9).fill(none)
  private count = 0

  /** The number of the 16-byte address at `at`: 0 for the first address met, and so on. */
  number(view: DataView, at: number): number {
    const a = view.getInt32(at)
    const b = view.getInt32(at + 4)
    const c = view.getInt32(at + 8)
    const d = view.getInt32(at + 12)
    const words = this.words
    for (let i = this.slots[this.slot(a, b, c, d)]!; i !== none; i = this.next[i]!) {
      const word = 4 * i
      if (words[word] === a && words[word + 1] === b && words[word + 2] === c && words[word + 3] === d)
        return i
    }
    return this.add(a, b, c, d)
  }

  /** The address with this number as text. */
  text(number: number): string {
    const view = new DataView(new ArrayBuffer(16))
    for (let i = 0; i < 4; i++) view.setInt32(4 * i, this.words[4 * number + i] ?? 0)
    return formatIpv6(view, 0)
  }

  private slot(a: number, b: number, c: number, d: number): number {
    return mix32(Math.imul(a ^ c, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ d) & (this.slots.length - 1)
  }

  private add(a: number, b: number, c: number, d: number): number {
    if (this.count === this.next.length) this.grow()
    const number = this.count++
    this.words.set([a, b, c, d], 4 * number)
    this.link(number)
    return number
  }

  private link(number: number): void {
    const [a = 0, b = 0, c = 0, d = 0] = this.words.subarray(4 * number, 4 * number + 4)
    const slot = this.slot(a, b, c, d)
    this.next[number] = this.slots[slot]!
    this.slots[slot] = number
  }

  private grow(): void {
    const words = new Int32Array(this.words.length * 2)
    words.set(this.words)
    this.words = words
    this.next = new Int32Array(this.next.length * 2)
    this.slots = new Int32Array(this.slots.length * 2).fill(none)
    for (let i = 0; i < this.count; i++) this.link(i)
  }
}
