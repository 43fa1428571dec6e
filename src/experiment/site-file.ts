/** Sites for replicas of a guest's disk, as a person writes them: the YAML of `predict --sites`, checked. */

import { closest } from 'fastest-levenshtein'
import { parse } from 'yaml'
import type { Needs, Site } from '../model/sites.js'
import { messageOf, usageError } from '../support/errors.js'
import { parseDurationNs, parsePercent } from '../support/units.js'

export interface SiteFile {
  readonly sites: readonly PlannedSite[]
  /** Where the guest runs at first. */
  readonly primary: string
  readonly needs: Needs
  /** Between two decisions where to run, and between two synchronisations of the replicas. */
  readonly everyNs: number
  readonly syncNs: number
  readonly horizonNs: number
  /** Cost of a GiB between two sites in a migration. */
  readonly transfer: number
}

/** `storageCost` is that of a GiB over the whole plan here. */
export interface PlannedSite extends Site {
  /** Share of the image's blocks that other images have brought there. */
  readonly holds: number
}

export const exampleSites = `primary: asia
max_latency: 150ms   # sites farther from the users are out
replicas: 2          # beside the primary, at most
every: 1h            # how often it is decided where the guest runs
sync: 15min          # how often replicas are brought up to date
for: 24h             # how much is planned
transfer: 0.05       # cost of a GiB that a migration sends
sites:               # compute: cost of running between two decisions; a list goes round
  - { name: asia, latency: 90ms, storage: 0.5, compute: [4, 4, 4, 4, 1, 1, 1, 1] }
  - { name: europe, latency: 30ms, storage: 0.5, compute: [1, 1, 4, 4, 4, 4, 4, 4], holds: 60% }
  - { name: america, latency: 80ms, storage: 0.5, compute: [4, 4, 1, 1, 4, 4, 4, 4] }
  - { name: moon, latency: 2600ms, storage: 0, compute: 0.1 }
`

const planKeys = ['primary', 'max_latency', 'replicas', 'every', 'sync', 'for', 'transfer', 'sites']
const siteKeys = ['name', 'latency', 'storage', 'compute', 'holds']
/** A plan is for people: more steps than these nobody reads. */
const stepsMost = 10_000
const sitesMost = 1000

type Fields = Readonly<Record<string, unknown>>

/** Throws a usage error that names the key. */
export function readSiteFile(text: string, name: string): SiteFile {
  const wrong = (path: string, why: string): Error =>
    usageError(`${name}: ${path}: ${why}`, { code: 'bad-sites', next: `For example:\n${exampleSites}` })
  const fields = fieldsOf(parsed(text, name), '', planKeys, wrong)
  const everyNs = duration(fields, 'every', '', wrong, '1h')
  const listed = fields['sites']
  if (!Array.isArray(listed) || listed.length < 2 || listed.length > sitesMost)
    throw wrong('sites', `is not a list of 2 to ${sitesMost} sites`)
  const sites = listed.map((one: unknown, i) => siteOf(one, `sites.${i}`, everyNs, wrong))
  const names = sites.map((site) => site.name)
  const twice = names.find((one, i) => names.indexOf(one) !== i)
  if (twice !== undefined) throw wrong('sites', `two are called ${twice}`)
  const { primary = names[0] } = fields
  if (typeof primary !== 'string' || !names.includes(primary))
    throw wrong('primary', `is none of ${names.join(', ')}`)
  const horizonNs = duration(fields, 'for', '', wrong, '24h')
  const syncNs = duration(fields, 'sync', '', wrong, '15min')
  if (horizonNs / Math.min(everyNs, syncNs) > stepsMost)
    throw wrong('for', `is more than ${stepsMost} times as long as every or sync`)
  return {
    sites,
    primary,
    needs: {
      maxLatencyNs: duration(fields, 'max_latency', '', wrong, '100ms'),
      maxReplicas: amount(fields, 'replicas', '', wrong, 1),
    },
    everyNs,
    syncNs,
    horizonNs,
    transfer: amount(fields, 'transfer', '', wrong, 0),
  }
}

type Wrong = (path: string, why: string) => Error

function parsed(text: string, name: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    throw usageError(`${name}: ${messageOf(error)}`, { code: 'bad-sites', cause: error })
  }
}

function fieldsOf(value: unknown, path: string, keys: readonly string[], wrong: Wrong): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(path || 'the file', `is not a map of ${keys.join(', ')}`)
  const fields: Fields = { ...value }
  const unknown = Object.keys(fields).find((key) => !keys.includes(key))
  if (unknown !== undefined) {
    throw wrong(
      [path, unknown].filter(Boolean).join('.'),
      `is not known; did you mean ${closest(unknown, keys)}?`,
    )
  }
  return fields
}

function siteOf(value: unknown, path: string, everyNs: number, wrong: Wrong): PlannedSite {
  const fields = fieldsOf(value, path, siteKeys, wrong)
  const { name, compute, holds = '0%' } = fields
  if (typeof name !== 'string' || name === '') throw wrong(`${path}.name`, 'is missing')
  const prices = Array.isArray(compute) ? compute.map(Number) : [Number(compute)]
  if (prices.length === 0 || !prices.every((price) => price >= 0 && Number.isFinite(price)))
    throw wrong(`${path}.compute`, 'is neither a cost nor a list of costs')
  return {
    name,
    latencyNs: duration(fields, 'latency', path, wrong),
    storageCost: amount(fields, 'storage', path, wrong, 0),
    computeCost: (atNs) => prices[Math.floor(atNs / everyNs) % prices.length]!,
    holds: share(holds, `${path}.holds`, wrong),
  }
}

function share(value: unknown, path: string, wrong: Wrong): number {
  const part = typeof value === 'string' ? parsePercent(value) : Number.NaN
  if (part >= 0 && part <= 1) return part
  throw wrong(path, 'is not a share from 0% to 100%')
}

function duration(fields: Fields, key: string, path: string, wrong: Wrong, fallback?: string): number {
  const value = fields[key] ?? fallback
  const ns = typeof value === 'string' ? parseDurationNs(value) : 0
  if (ns > 0) return ns
  throw wrong([path, key].filter(Boolean).join('.'), 'is not a duration such as 90ms')
}

function amount(fields: Fields, key: string, path: string, wrong: Wrong, fallback: number): number {
  const value = fields[key] ?? fallback
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
  throw wrong([path, key].filter(Boolean).join('.'), 'is not a number from 0 on')
}
