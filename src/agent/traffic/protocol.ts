/**
 * What a runner and a cross-traffic process say to each other: JSON lines on stdin and stdout. The first line in is the
 * configuration; stdin's end means that the runner is gone, and ends the process.
 */

import { Ajv2020 } from 'ajv/dist/2020.js'
import { usageError } from '../../support/errors.js'

export type FlowKind = 'udp-cbr' | 'tcp-bulk' | 'pcap'

/** One entry of a scenario's cross-traffic, as one host sees it. */
export interface FlowConfig {
  readonly id: string
  readonly kind: FlowKind
  /** TCP connections, or UDP port pairs that share the rate. */
  readonly flows: number
  /** Name of the traffic class, for the statistics. */
  readonly class: string
  readonly dscp: number
  /** SO_PRIORITY. */
  readonly pcp: number
  /** Address of this host; for a receiver with the port to listen on, 0 for any. */
  readonly local: { readonly host: string; readonly port: number }
  /** Where a sender sends to; a receiver has none. */
  readonly peer?: { readonly host: string; readonly port: number }
  /** Bits of whole frames per second, all flows together. Needed by udp-cbr; absent: as fast as TCP goes. */
  readonly rate_bps?: number
  /** Size of the IP packets of udp-cbr. */
  readonly packet_bytes?: number
  /** After the start command. */
  readonly start_ms?: number
  /** After the start command; absent: until stopped. */
  readonly stop_ms?: number
  readonly congestion_control?: string
  /** Needed by pcap. */
  readonly capture?: CaptureConfig
}

/** What a replayed capture is, and as whose frames it travels. MAC and IPv4 addresses are lists of their bytes. */
export interface CaptureConfig {
  readonly file: string
  /** Times the speed of the capture, unless there is a rate. */
  readonly speed: number
  /** Begin again at the end of the file. */
  readonly loop: boolean
  readonly device: string
  readonly mtu_bytes: number
  readonly vlan: number
  readonly source_mac: readonly number[]
  readonly destination_mac: readonly number[]
  readonly source_address: readonly number[]
  readonly destination_address: readonly number[]
  /** The PCP of each DSCP, where the frames keep theirs; absent: all get the flow's. */
  readonly pcp_by_dscp?: readonly number[]
}

export interface TrafficConfig {
  readonly role: 'send' | 'receive'
  readonly flows: readonly FlowConfig[]
}

export interface SendStats {
  readonly id: string
  readonly role: 'send'
  readonly kind: FlowKind
  readonly class: string
  /** From the first packet to the stop. */
  readonly duration_ms: number
  /** The rate that was asked for; null for TCP without one. */
  readonly asked_mbps: number | null
  /** Bits of whole frames, tag and Ethernet header included, per second of the duration. */
  readonly offered_mbps: number
  /** Datagrams, TCP segments with payload, or frames of a capture. */
  readonly packets: number
  readonly frame_bytes: number
  /** udp-cbr: frames given up because the sender was held off for too long. */
  readonly skipped: number
  /** udp-cbr: times that the kernel had no room and the frame was tried again later. */
  readonly blocked: number
  /** tcp-bulk: segments sent again; null for UDP. */
  readonly retransmits: number | null
}

export interface ReceiveStats {
  readonly id: string
  readonly role: 'receive'
  readonly kind: FlowKind
  readonly class: string
  /** From the first to the last arrival. */
  readonly duration_ms: number
  readonly packets: number
  readonly payload_bytes: number
  readonly frame_bytes: number
  /** UDP only, null for TCP: different packets that arrived, and gaps below the highest number. */
  readonly unique: number | null
  readonly lost: number | null
  readonly duplicates: number | null
  readonly reordered: number | null
  /** Arrived, but dropped by the full buffer of the socket: not a loss of the network. */
  readonly dropped_at_socket: number
  /** Datagrams that were not ours. */
  readonly foreign: number
  /** From the sender's to the receiver's program, both hosts on one clock; null for TCP. */
  readonly delay_ms: DelayPercentiles | null
}

export interface DelayPercentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export type FlowStats = SendStats | ReceiveStats

/** How well the process itself kept up, for the fidelity gate. */
export interface ProcessStats {
  /** 99th percentile of how late its timers were. */
  readonly event_loop_delay_ms_p99: number
  /** CPU time over wall time, 1 for a whole core. */
  readonly cpu_ratio: number
}

export interface StatsAnswer {
  readonly stats: readonly FlowStats[]
  readonly process: ProcessStats
}

export interface ErrorAnswer {
  readonly error: { readonly code: string; readonly message: string; readonly next?: string }
}

export type Answer =
  /** The port of each receiving flow, by id. Senders are connected. */
  | { readonly ready: { readonly ports: Readonly<Record<string, number>> } }
  | { readonly started: true }
  | StatsAnswer
  | ErrorAnswer

export type Command = { readonly do: 'start' } | { readonly do: 'stop' }

const endpoint = {
  type: 'object',
  additionalProperties: false,
  required: ['host', 'port'],
  properties: {
    host: { type: 'string', pattern: '^(\\d{1,3}\\.){3}\\d{1,3}$' },
    port: { type: 'integer', minimum: 0, maximum: 65_535 },
  },
}

const bytesSchema = (length: number): object => ({
  type: 'array',
  minItems: length,
  maxItems: length,
  items: { type: 'integer', minimum: 0, maximum: 255 },
})

const captureSchema = {
  type: 'object',
  additionalProperties: false,
  required: [
    ...['file', 'speed', 'loop', 'device', 'mtu_bytes', 'vlan'],
    ...['source_mac', 'destination_mac', 'source_address', 'destination_address'],
  ],
  properties: {
    file: { type: 'string', minLength: 1 },
    speed: { type: 'number', exclusiveMinimum: 0 },
    loop: { type: 'boolean' },
    device: { type: 'string', minLength: 1 },
    mtu_bytes: { type: 'integer', minimum: 64, maximum: 65_535 },
    vlan: { type: 'integer', minimum: 0, maximum: 4094 },
    source_mac: bytesSchema(6),
    destination_mac: bytesSchema(6),
    source_address: bytesSchema(4),
    destination_address: bytesSchema(4),
    pcp_by_dscp: bytesSchema(64),
  },
}

const flowSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'kind', 'flows', 'class', 'dscp', 'pcp', 'local'],
  properties: {
    id: { type: 'string', minLength: 1 },
    kind: { enum: ['udp-cbr', 'tcp-bulk', 'pcap'] },
    capture: captureSchema,
    flows: { type: 'integer', minimum: 1, maximum: 1000 },
    class: { type: 'string' },
    dscp: { type: 'integer', minimum: 0, maximum: 63 },
    pcp: { type: 'integer', minimum: 0, maximum: 7 },
    local: endpoint,
    peer: endpoint,
    rate_bps: { type: 'number', exclusiveMinimum: 0 },
    packet_bytes: { type: 'integer', minimum: 64, maximum: 65_535 },
    start_ms: { type: 'number', minimum: 0 },
    stop_ms: { type: 'number', minimum: 0 },
    congestion_control: { type: 'string', pattern: '^[a-z0-9_]{1,15}$' },
  },
}

const configSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['role', 'flows'],
  properties: {
    role: { enum: ['send', 'receive'] },
    flows: {
      type: 'array',
      minItems: 1,
      maxItems: 256,
      items: {
        ...flowSchema,
        if: { properties: { kind: { const: 'pcap' } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema.
        then: { required: ['capture'] },
      },
    },
  },
  if: { properties: { role: { const: 'send' } } },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema.
  then: {
    properties: {
      flows: {
        items: {
          required: ['peer'],
          if: { properties: { kind: { const: 'udp-cbr' } } },
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema.
          then: { required: ['rate_bps', 'packet_bytes'] },
        },
      },
    },
  },
}

/** Checks a configuration line. Throws a usage error with the first thing that is wrong. */
export function parseConfig(line: string): TrafficConfig {
  const value = parseJson(line)
  // The schema is compiled here, not at start-up: the library is used far more often than the process.
  const validate = new Ajv2020({
    strict: true,
    strictTypes: false,
    strictRequired: false,
  }).compile<TrafficConfig>(configSchema)
  if (validate(value)) return value
  const problem = validate.errors?.[0]
  throw usageError(
    `cross-traffic configuration: ${problem?.instancePath || 'the document'} ${problem?.message ?? 'is wrong'}`,
    { code: 'bad-traffic-config' },
  )
}

/** Checks a later line. */
export function parseCommand(line: string): Command {
  const value = parseJson(line)
  const verb = typeof value === 'object' && value !== null && 'do' in value ? value.do : undefined
  if (verb === 'start' || verb === 'stop') return { do: verb }
  throw usageError(`unknown command to the cross-traffic process: ${line.slice(0, 80)}`, {
    code: 'bad-traffic-command',
    next: 'Commands are {"do":"start"} and {"do":"stop"}.',
  })
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw usageError(`not a JSON line: ${line.slice(0, 80)}`, { code: 'bad-traffic-command', cause })
  }
}
