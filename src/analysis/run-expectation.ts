/**
 * What `analyseRun` was told besides the captures, as a file beside them (`captures/expected.json`), so that the same
 * figures can be had from the captures again.
 */

import type { TrafficClass } from '../marking/traffic-class.js'
import { messageOf, usageError } from '../support/errors.js'
import type { RunAnalysisInput } from './run-analysis.js'

export const expectationFile = 'expected.json'
const schema = 'pagewire.expected/1'

/** All of the input but the captures' paths. */
export type RunExpectation = Omit<RunAnalysisInput, 'captures'>

export function expectationText(expectation: RunExpectation): string {
  return `${JSON.stringify({ schema, ...expectation }, null, 2)}\n`
}

/** Reads what `expectationText` wrote. Usage error when `text` is something else. */
export function readExpectation(text: string, file: string): RunExpectation {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw refused(file, messageOf(error))
  }
  if (!isObject(document) || document['schema'] !== schema) throw refused(file, `its schema is not ${schema}`)
  const { flows, destinationMac, queues, guestMac, windowUnixNs, table } = document
  if (!isArray(flows) || !isArray(queues) || typeof destinationMac !== 'string') {
    throw refused(file, 'flows, queues or destinationMac are missing')
  }
  return {
    flows: flows.map((flow) => checkedFlow(flow, file)),
    destinationMac,
    queues: queues.map((queue) => checkedQueue(queue, file)),
    ...(typeof guestMac === 'string' ? { guestMac } : {}),
    ...(isArray(windowUnixNs) ? { windowUnixNs: [Number(windowUnixNs[0]), Number(windowUnixNs[1])] } : {}),
    ...(isArray(table) ? { table: table.map((row) => checkedClass(row, file)) } : {}),
  }
}

function checkedFlow(value: unknown, file: string): RunExpectation['flows'][number] {
  const flow = object(value, file)
  const { protocol, clientAddress, applicationBytes } = flow
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'ip') {
    throw refused(file, 'a flow is none of tcp, udp and ip')
  }
  const bytes = isObject(applicationBytes) ? applicationBytes : undefined
  return {
    role: text(flow, 'role', file),
    protocol,
    ...(typeof clientAddress === 'string' ? { clientAddress } : {}),
    serverAddress: text(flow, 'serverAddress', file),
    serverPort: number(flow, 'serverPort', file),
    vlan: number(flow, 'vlan', file),
    ...(flow['dscp'] === undefined ? {} : { dscp: number(flow, 'dscp', file) }),
    ...(flow['pcp'] === undefined ? {} : { pcp: number(flow, 'pcp', file) }),
    ...(flow['roams'] === true ? { roams: true } : {}),
    ...(flow['besidePort'] === true ? { besidePort: true } : {}),
    ...(flow['path'] === undefined ? {} : { path: number(flow, 'path', file) }),
    ...(bytes
      ? {
          applicationBytes: {
            clientToServer: number(bytes, 'clientToServer', file),
            serverToClient: number(bytes, 'serverToClient', file),
          },
        }
      : {}),
  }
}

function checkedQueue(value: unknown, file: string): RunExpectation['queues'][number] {
  const queue = object(value, file)
  return {
    pcp: queue['pcp'] === 'all' ? 'all' : number(queue, 'pcp', file),
    packets: number(queue, 'packets', file),
    bytes: number(queue, 'bytes', file),
    dropped: number(queue, 'dropped', file),
  }
}

function checkedClass(value: unknown, file: string): TrafficClass {
  const row = object(value, file)
  return {
    name: text(row, 'name', file),
    phb: text(row, 'phb', file),
    dscp: number(row, 'dscp', file),
    pcp: number(row, 'pcp', file),
    source: text(row, 'source', file),
  }
}

function object(value: unknown, file: string): Record<string, unknown> {
  if (isObject(value)) return value
  throw refused(file, 'an entry is not an object')
}

function text(of: Record<string, unknown>, key: string, file: string): string {
  const value = of[key]
  if (typeof value === 'string') return value
  throw refused(file, `${key} is not a text`)
}

function number(of: Record<string, unknown>, key: string, file: string): number {
  const value = of[key]
  if (typeof value === 'number') return value
  throw refused(file, `${key} is not a number`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function refused(file: string, reason: string): Error {
  return usageError(`${file} does not say what the run expected: ${reason}`, { code: 'bad-expectation' })
}
