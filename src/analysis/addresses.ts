/** Network addresses between text and the integers that frames are decoded to. */

import { usageError } from '../support/errors.js'

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
