/**
 * Frame filters: a small part of Wireshark's display filter language, with the same field names. Compiled once to a
 * function that looks at the decoded frame.
 *
 * expression: `tcp`, `!arp`, `pcp == 7 && tcp`, `ip.addr == 10.0.0.0/8 or udp.port in {53 5000..6000}`.
 * A field that a frame does not have makes every comparison with it false, and a field by itself asks whether it is
 * there. A field with two values (`ip.addr`, `tcp.port`) is equal if one of them is, and differs if both do. Of
 * several tags only the one that names the class is looked at (Wireshark looks at all).
 */

import { protocolIcmp, protocolIcmpv6, protocolTcp, protocolUdp, typeArp } from '../capture/decode.js'
import { absent, type Frame } from '../capture/frame.js'
import { usageError } from '../support/errors.js'
import { parseIpv4 } from './addresses.js'

/** Whether a decoded frame belongs to what was asked for. */
export type FrameFilter = (frame: Frame) => boolean

type Values = (frame: Frame) => number | readonly [number, number]

interface Field {
  readonly of: Values
  /** How a value is written. */
  readonly kind: 'number' | 'ipv4'
  readonly meaning: string
}

const number = (of: Values, meaning: string): Field => ({ of, kind: 'number', meaning })
const ipv4 = (of: Values, meaning: string): Field => ({ of, kind: 'ipv4', meaning })

const transportPort =
  (protocol: number, port: (frame: Frame) => number): Values =>
  (frame) =>
    frame.protocol === protocol ? port(frame) : absent
const bothPorts =
  (protocol: number): Values =>
  (frame) =>
    frame.protocol === protocol && frame.sourcePort !== absent
      ? [frame.sourcePort, frame.destinationPort]
      : absent
const tcpValue =
  (of: (frame: Frame) => number): Values =>
  (frame) =>
    frame.tcp ? of(frame) : absent
const flag = (bit: number): Values => tcpValue((frame) => ((frame.flags & bit) === 0 ? 0 : 1))
const ipValue =
  (of: (frame: Frame) => number): Values =>
  (frame) =>
    frame.ipVersion === 4 ? of(frame) : absent

/** Fields by name. IPv4 addresses are compared as unsigned numbers. */
export const filterFields: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['frame.len', number((frame) => frame.wireLength, 'bytes on the wire')],
  ['frame.cap_len', number((frame) => frame.capLength, 'bytes captured')],
  ['frame.interface_id', number((frame) => frame.interfaceId, 'interface of a pcapng file')],
  ['eth.type', number((frame) => frame.etherType, 'type behind all tags')],
  ['vlan.id', number((frame) => frame.vlan, 'VLAN number')],
  ['vlan', number((frame) => frame.vlan, 'short for vlan.id')],
  ['vlan.priority', number((frame) => frame.pcp, '802.1Q priority')],
  ['pcp', number((frame) => frame.pcp, 'short for vlan.priority')],
  ['ip.dsfield.dscp', number((frame) => frame.dscp, 'DSCP, of IPv6 as well')],
  ['dscp', number((frame) => frame.dscp, 'short for ip.dsfield.dscp')],
  ['ip.dsfield.ecn', number((frame) => (frame.dscp === absent ? absent : frame.ecn), 'ECN bits')],
  ['ip', number((frame) => (frame.ipVersion === 4 ? 1 : absent), 'IPv4')],
  ['ipv6', number((frame) => (frame.ipVersion === 6 ? 1 : absent), 'IPv6')],
  ['ip.proto', number((frame) => frame.protocol, 'transport protocol, of IPv6 as well')],
  [
    'ip.id',
    number(
      ipValue((frame) => frame.ipId),
      'IPv4 identification',
    ),
  ],
  [
    'ip.src',
    ipv4(
      ipValue((frame) => frame.sourceAddress >>> 0),
      'IPv4 source',
    ),
  ],
  [
    'ip.dst',
    ipv4(
      ipValue((frame) => frame.destinationAddress >>> 0),
      'IPv4 destination',
    ),
  ],
  [
    'ip.addr',
    ipv4(
      (frame) =>
        frame.ipVersion === 4 ? [frame.sourceAddress >>> 0, frame.destinationAddress >>> 0] : absent,
      'either IPv4 address',
    ),
  ],
  ['arp', number((frame) => (frame.etherType === typeArp ? 1 : absent), 'ARP')],
  [
    'icmp',
    number((frame) => (frame.protocol === protocolIcmp && frame.ipVersion === 4 ? 1 : absent), 'ICMP'),
  ],
  ['icmpv6', number((frame) => (frame.protocol === protocolIcmpv6 ? 1 : absent), 'ICMPv6')],
  ['tcp', number((frame) => (frame.protocol === protocolTcp && !frame.laterFragment ? 1 : absent), 'TCP')],
  [
    'tcp.srcport',
    number(
      transportPort(protocolTcp, (frame) => frame.sourcePort),
      'TCP source port',
    ),
  ],
  [
    'tcp.dstport',
    number(
      transportPort(protocolTcp, (frame) => frame.destinationPort),
      'TCP destination port',
    ),
  ],
  ['tcp.port', number(bothPorts(protocolTcp), 'either TCP port')],
  [
    'tcp.len',
    number(
      tcpValue((frame) => frame.payloadLength),
      'TCP payload bytes',
    ),
  ],
  [
    'tcp.seq_raw',
    number(
      tcpValue((frame) => frame.sequence >>> 0),
      'sequence number as sent',
    ),
  ],
  [
    'tcp.ack_raw',
    number(
      tcpValue((frame) => frame.acknowledgement >>> 0),
      'acknowledgement number as sent',
    ),
  ],
  [
    'tcp.window_size_value',
    number(
      tcpValue((frame) => frame.window),
      'window as sent',
    ),
  ],
  [
    'tcp.flags',
    number(
      tcpValue((frame) => frame.flags),
      'all flag bits',
    ),
  ],
  ['tcp.flags.fin', number(flag(1), 'FIN')],
  ['tcp.flags.syn', number(flag(2), 'SYN')],
  ['tcp.flags.reset', number(flag(4), 'RST')],
  ['tcp.flags.push', number(flag(8), 'PSH')],
  ['tcp.flags.ack', number(flag(16), 'ACK')],
  ['udp', number((frame) => (frame.protocol === protocolUdp && !frame.laterFragment ? 1 : absent), 'UDP')],
  [
    'udp.srcport',
    number(
      transportPort(protocolUdp, (frame) => frame.sourcePort),
      'UDP source port',
    ),
  ],
  [
    'udp.dstport',
    number(
      transportPort(protocolUdp, (frame) => frame.destinationPort),
      'UDP destination port',
    ),
  ],
  ['udp.port', number(bothPorts(protocolUdp), 'either UDP port')],
])

/** Compiles a filter. Usage error with the place of the first thing that cannot be understood. */
export function compileFilter(text: string): FrameFilter {
  return new Parser(text).whole()
}

interface Token {
  readonly text: string
  readonly at: number
}

const tokenPattern =
  /\s*(==|!=|<=|>=|&&|\|\||\.\.|[()<>!{},]|[A-Za-z0-9_]+(?:\.(?!\.)[A-Za-z0-9_]+)*(?:\/\d+)?)/y

const comparisons: ReadonlyMap<string, string> = new Map([
  ['eq', '=='],
  ['ne', '!='],
  ['gt', '>'],
  ['lt', '<'],
  ['ge', '>='],
  ['le', '<='],
  ...['==', '!=', '>', '<', '>=', '<='].map((one) => [one, one] as const),
])

/** Nesting beyond this is refused instead of overflowing the stack. */
const maxDepth = 100

class Parser {
  private readonly tokens: Token[] = []
  private at = 0
  private depth = 0

  constructor(private readonly text: string) {
    tokenPattern.lastIndex = 0
    for (let from = 0; text.slice(from).trim() !== ''; from = tokenPattern.lastIndex) {
      tokenPattern.lastIndex = from
      const match = tokenPattern.exec(text)
      if (!match?.[1])
        throw this.error('this cannot be read', text.length - text.slice(from).trimStart().length)
      this.tokens.push({ text: match[1], at: tokenPattern.lastIndex - match[1].length })
    }
  }

  whole(): FrameFilter {
    const filter = this.either()
    const rest = this.tokens[this.at]
    if (rest) throw this.error(`'${rest.text}' is not expected here`, rest.at)
    return filter
  }

  private either(): FrameFilter {
    let left = this.both()
    while (this.take('||', 'or')) {
      const first = left
      const second = this.both()
      left = (frame) => first(frame) || second(frame)
    }
    return left
  }

  private both(): FrameFilter {
    let left = this.one()
    while (this.take('&&', 'and')) {
      const first = left
      const second = this.one()
      left = (frame) => first(frame) && second(frame)
    }
    return left
  }

  private one(): FrameFilter {
    if (++this.depth > maxDepth) throw this.error('too deeply nested', 0)
    const filter = this.term()
    this.depth--
    return filter
  }

  private term(): FrameFilter {
    if (this.take('!', 'not')) {
      const inner = this.one()
      return (frame) => !inner(frame)
    }
    if (this.take('(')) {
      const inner = this.either()
      this.expect(')')
      return inner
    }
    return this.comparison()
  }

  private comparison(): FrameFilter {
    const name = this.next('a field')
    const field = filterFields.get(name.text.toLowerCase())
    if (!field) {
      throw this.error(
        `there is no field '${name.text}'`,
        name.at,
        `Fields: ${[...filterFields.keys()].join(', ')}.`,
      )
    }
    const { of } = field
    if (this.take('in')) return this.membership(field)
    const operator = comparisons.get(this.tokens[this.at]?.text.toLowerCase() ?? '')
    if (operator === undefined) return (frame) => of(frame) !== absent
    this.at++
    const [low, high] = this.value(field)
    return compared(of, operator, low, high)
  }

  /** `{1, 2 5..7}` */
  private membership({ of, kind, meaning }: Field): FrameFilter {
    const ranges: (readonly [number, number])[] = []
    this.expect('{')
    while (!this.take('}')) {
      const [low, high] = this.value({ of, kind, meaning })
      ranges.push(this.take('..') ? [low, this.value({ of, kind, meaning })[1]] : [low, high])
      this.take(',')
    }
    return (frame) => {
      const value = of(frame)
      const is = (one: number): boolean =>
        one !== absent && ranges.some(([low, high]) => one >= low && one <= high)
      return typeof value === 'number' ? is(value) : is(value[0]) || is(value[1])
    }
  }

  /** A value, or the first and last address of a network. */
  private value({ kind }: Field): readonly [number, number] {
    const token = this.next('a value')
    if (kind === 'ipv4') return this.network(token)
    const value = Number(token.text)
    if (!Number.isInteger(value)) throw this.error(`'${token.text}' is not a number`, token.at)
    return [value, value]
  }

  private network(token: Token): readonly [number, number] {
    const [address = '', length = '32'] = token.text.split('/')
    const bits = Number(length)
    if (bits > 32) throw this.error(`a prefix has at most 32 bits, not ${bits}`, token.at)
    const size = 2 ** (32 - bits)
    const first = Math.floor((parseIpv4(address) >>> 0) / size) * size
    return [first, first + size - 1]
  }

  private take(...texts: readonly string[]): boolean {
    const found = texts.includes(this.tokens[this.at]?.text.toLowerCase() ?? '')
    if (found) this.at++
    return found
  }

  private expect(text: string): void {
    if (this.take(text)) return
    const here = this.tokens[this.at]
    throw this.error(`'${text}' is missing`, here?.at ?? this.text.length)
  }

  private next(what: string): Token {
    const token = this.tokens[this.at++]
    if (!token) throw this.error(`${what} is missing`, this.text.length)
    return token
  }

  private error(
    message: string,
    at: number,
    next = 'Examples: pcp==7 && tcp, udp.port in {53 5000..6000}.',
  ): Error {
    return usageError(`filter '${this.text}', column ${at + 1}: ${message}`, { code: 'bad-filter', next })
  }
}

/** `low` and `high` are the same for single values. */
function compared(of: Values, operator: string, low: number, high: number): FrameFilter {
  const test = (value: number): boolean => {
    switch (operator) {
      case '==':
        return value >= low && value <= high
      case '>':
        return value > high
      case '<':
        return value < low
      case '>=':
        return value >= low
      default:
        return value <= high
    }
  }
  const any = (frame: Frame): boolean => {
    const value = of(frame)
    if (typeof value !== 'number') return test(value[0]) || test(value[1])
    return value !== absent && test(value)
  }
  if (operator !== '!=') return any
  const equal = compared(of, '==', low, high)
  return (frame) => of(frame) !== absent && !equal(frame)
}
