/** The checksum of the internet protocols (RFC 1071), and what it covers besides the segment itself. */

/** Of `length` bytes from `at`, on top of the sum of a pseudo header. */
export function checksum(bytes: Uint8Array, at: number, length: number, pseudoHeader: number): number {
  let sum = pseudoHeader + sumOf(bytes, at, length)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000)
  return ~sum & 0xffff
}

/** Addresses, protocol and length: what the checksum of a segment over IPv4 covers besides it (RFC 9293 section 3.1). */
export function pseudoHeaderIpv4(
  bytes: Uint8Array,
  network: number,
  protocol: number,
  length: number,
): number {
  return sumOf(bytes, network + 12, 8) + protocol + length
}

/** The same over IPv6 (RFC 8200 section 8.1). */
export function pseudoHeaderIpv6(
  bytes: Uint8Array,
  network: number,
  protocol: number,
  length: number,
): number {
  return sumOf(bytes, network + 8, 32) + protocol + length
}

/** Sum of 16-bit words, an odd last byte as the high half of one. */
function sumOf(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0
  const even = at + (length & ~1)
  for (let i = at; i < even; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!
  return (length & 1) === 1 ? sum + (bytes[even]! << 8) : sum
}
