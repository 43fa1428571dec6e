/**
 * Where replicas of the scenario's guest should be and where it should run as prices change (scheme 16, our
 * reconstruction), over a day or so: each step of the rules in model/sites.ts, and each move as the model predicts it.
 */

import { PageSet } from '../memory/page-set.js'
import { silentJournal } from '../migration/journal.js'
import { BlockStore, placeReplicas, scheduled } from '../model/sites.js'
import { strategyNamed } from '../strategies/index.js'
import { assert } from '../support/assert.js'
import { usageError } from '../support/errors.js'
import { GuestDisk } from '../workload/disk.js'
import { predict } from './predict.js'
import type { Scenario } from './scenario.js'
import type { PlannedSite, SiteFile } from './site-file.js'

export const sitePlanSchema = 'pagewire.sites/1'

/** Costs are in the units of the file; times of day in hours since the beginning. */
export interface SitePlan {
  readonly schema: typeof sitePlanSchema
  readonly origin: 'predicted'
  readonly image_bytes: number
  readonly memory_bytes: number
  readonly sites: readonly {
    readonly name: string
    readonly primary: boolean
    readonly replica: boolean
    /** Near enough to the users. */
    readonly feasible: boolean
    /** What the first synchronisation sends: blocks that no other image has brought. */
    readonly first_sync_bytes: number
    /** What the site stores more than before; 0 without a replica. */
    readonly extra_storage_bytes: number
  }[]
  /** All synchronisations after the first, to all replicas. */
  readonly sync_bytes: number
  readonly moves: readonly SiteMove[]
  readonly cost: { readonly planned: number; readonly staying: number }
}

export interface SiteMove {
  readonly at_h: number
  readonly from: string
  readonly to: string
  /** Blocks that were not synchronised yet, and what of the image that makes. */
  readonly unsynced_blocks: number
  readonly unsynced_bytes: number
  /** The migration: memory and the unsynchronised part of the disk. */
  readonly outcome: string
  readonly total_time_ms: number
  readonly downtime_ms: number | null
  readonly payload_bytes: number
  /** The same with no replica there: all of the image is in the way. */
  readonly without_replica_total_time_ms: number
}

const gib = 2 ** 30
const hourNs = 3600e9

/** Writes to the disk that a plan may take: each is carried out. */
const writesMost = 1e8

/** Usage error when the guest would write its disk too often meanwhile. */
export async function planSites(file: SiteFile, scenario: Scenario): Promise<SitePlan> {
  const writes = (scenario.guest.disk.writesPerSecond * file.horizonNs) / 1e9
  if (writes > writesMost) {
    throw usageError(
      `the guest would write its disk ${writes.toExponential(1)} times in the time of the plan`,
      {
        code: 'too-many-writes',
        next: `Plan for less, or lower guest.disk.write_ratio: ${writesMost.toExponential(0)} are looked at.`,
      },
    )
  }
  const walk = new Walk(file, scenario)
  const sites = walk.place()
  for (const atNs of walk.times()) await walk.step(atNs)
  const { disk } = scenario.guest
  return {
    schema: sitePlanSchema,
    origin: 'predicted',
    image_bytes: disk.totalBlocks * disk.blockBytes,
    memory_bytes: scenario.guest.memoryBytes,
    sites,
    sync_bytes: walk.syncedBlocks * disk.blockBytes,
    moves: walk.moves,
    cost: { planned: walk.cost, staying: walk.stayingCost },
  }
}

/** The state of all sites as time goes by. */
class Walk {
  readonly #file: SiteFile
  readonly #scenario: Scenario
  readonly #disk: GuestDisk
  readonly #image: number[]
  readonly #stores: ReadonlyMap<PlannedSite, BlockStore>
  readonly #first: PlannedSite
  #primary: PlannedSite
  readonly #holders = new Map<PlannedSite, BlockStore>()
  #contents: number
  readonly #predicted = new Map<number, Promise<Omit<SiteMove, 'at_h' | 'from' | 'to'>>>()
  /** The migration to a site that has none of the disk: the same whatever a replica lacks. */
  #toNowhere: Promise<Migrated> | undefined
  readonly moves: SiteMove[] = []
  syncedBlocks = 0
  cost = 0
  stayingCost = 0

  constructor(file: SiteFile, scenario: Scenario) {
    const { disk } = scenario.guest
    this.#file = file
    this.#scenario = scenario
    this.#disk = new GuestDisk(disk, scenario.seed)
    this.#image = Array.from({ length: disk.totalBlocks }, (_, block) => block)
    this.#contents = disk.totalBlocks
    const sites = file.sites.map((site) => priced(site, disk.blockBytes))
    const primary = sites.find(({ name }) => name === file.primary)
    assert(primary !== undefined, 'the primary is one of the sites')
    this.#first = primary
    this.#primary = primary
    this.#stores = new Map(sites.map((site) => [site, this.#stocked(site)]))
  }

  /** Chooses the replicas by what all decisions of the plan would save, and brings them up to date. */
  place(): SitePlan['sites'] {
    const { needs } = this.#file
    const { blockBytes } = this.#scenario.guest.disk
    const chosen = placeReplicas(this.#stores, this.#primary, this.#image, needs, this.#decisions())
    return [...this.#stores].map(([site, store]) => {
      const replica = chosen.includes(site)
      const missing = store.missing(this.#image)
      const before = store.blocks
      if (replica || site === this.#primary) {
        store.synchronise('guest', this.#image)
        this.#holders.set(site, store)
        if (replica) this.cost += missing * site.storageCost
      }
      return {
        name: site.name,
        primary: site === this.#primary,
        replica,
        feasible: site.latencyNs <= needs.maxLatencyNs,
        first_sync_bytes: replica ? missing * blockBytes : 0,
        extra_storage_bytes: replica ? (store.blocks - before) * blockBytes : 0,
      }
    })
  }

  /** Decisions and synchronisations, in order. */
  times(): readonly number[] {
    return [...new Set([...this.#decisions(), ...this.#syncs()])].sort((a, b) => a - b)
  }

  /** What is due at this time; it is decided before replicas are brought up to date. */
  async step(atNs: number): Promise<void> {
    this.#write(atNs)
    if (atNs % this.#file.everyNs === 0 && atNs < this.#file.horizonNs) await this.#decide(atNs)
    if (atNs > 0 && atNs % this.#file.syncNs === 0) this.#synchronise()
  }

  #decisions(): readonly number[] {
    return multiples(this.#file.everyNs, this.#file.horizonNs)
  }

  #syncs(): readonly number[] {
    return multiples(this.#file.syncNs, this.#file.horizonNs)
  }

  async #decide(atNs: number): Promise<void> {
    const from = this.#primary
    const to = scheduled(
      from,
      this.#holders,
      this.#image,
      this.#file.needs,
      (unsynced) => this.#moveCost(unsynced),
      atNs,
    )
    if (to !== from) {
      const store = this.#holders.get(to)
      assert(store !== undefined, 'the guest goes where a replica is')
      const unsynced = store.missing(this.#image)
      this.cost += this.#moveCost(unsynced)
      this.moves.push({
        at_h: atNs / hourNs,
        from: from.name,
        to: to.name,
        ...(await this.#migration(unsynced)),
      })
      store.synchronise('guest', this.#image)
      this.#primary = to
    }
    this.cost += this.#primary.computeCost(atNs)
    this.stayingCost += this.#first.computeCost(atNs)
  }

  #moveCost(unsyncedBlocks: number): number {
    const { guest } = this.#scenario
    return (this.#file.transfer * (unsyncedBlocks * guest.disk.blockBytes + guest.memoryBytes)) / gib
  }

  #synchronise(): void {
    for (const [site, store] of this.#holders) {
      const sent = store.synchronise('guest', this.#image)
      // The primary writes to its own disk.
      if (site !== this.#primary) this.syncedBlocks += sent
    }
  }

  /** Whatever the guest has written until then is content that nobody has seen. */
  #write(atNs: number): void {
    const dirty = new PageSet(this.#image.length)
    let writes: number
    do {
      writes = this.#disk.blocks.writes
      this.#disk.advance(atNs)
    } while (this.#disk.blocks.writes > writes)
    this.#disk.blocks.cleanDirty(dirty)
    for (let block = dirty.next(0); block !== -1; block = dirty.next(block + 1)) {
      this.#image[block] = this.#contents++
    }
  }

  /** A migration to a site that lacks so many blocks, in the model, and one to a site that has none. */
  #migration(unsynced: number): Promise<Omit<SiteMove, 'at_h' | 'from' | 'to'>> {
    const known = this.#predicted.get(unsynced) ?? this.#predict(unsynced)
    this.#predicted.set(unsynced, known)
    return known
  }

  async #predict(unsynced: number): Promise<Omit<SiteMove, 'at_h' | 'from' | 'to'>> {
    const { totalBlocks, blockBytes } = this.#scenario.guest.disk
    const there = await migrated(this.#scenario, 1 - unsynced / totalBlocks)
    this.#toNowhere ??= migrated(this.#scenario, 0)
    const nowhere = await this.#toNowhere
    return {
      unsynced_blocks: unsynced,
      unsynced_bytes: unsynced * blockBytes,
      outcome: there.outcome,
      total_time_ms: there.total_time_ms,
      downtime_ms: there.downtime_ms,
      payload_bytes: there.payload_bytes,
      without_replica_total_time_ms: nowhere.total_time_ms,
    }
  }

  /** What other images have brought to a site. */
  #stocked(site: PlannedSite): BlockStore {
    const store = new BlockStore()
    store.synchronise('other images', this.#image.slice(0, Math.round(site.holds * this.#image.length)))
    return store
  }
}

/** The storage of a block in place of that of a GiB. */
function priced(site: PlannedSite, blockBytes: number): PlannedSite {
  return { ...site, storageCost: (site.storageCost * blockBytes) / gib }
}

function multiples(stepNs: number, endNs: number): readonly number[] {
  return Array.from({ length: Math.ceil(endNs / stepNs) }, (_, i) => i * stepNs)
}

interface Migrated {
  readonly outcome: string
  readonly total_time_ms: number
  readonly downtime_ms: number | null
  readonly payload_bytes: number
}

/** The scenario's guest migrates to a site that holds this share of its disk. */
async function migrated(scenario: Scenario, replicaShare: number): Promise<Migrated> {
  const { guest, migration } = scenario
  const options = migration.strategy === 'cloudspider' ? migration.options : {}
  const moved: Scenario = {
    ...scenario,
    guest: { ...guest, disk: { ...guest.disk, replicaShare } },
    migration: { ...migration, strategy: 'cloudspider', options },
  }
  const result = await predict(moved, strategyNamed('cloudspider').create(options), silentJournal)
  assert(result.migration !== null, 'the model migrates')
  const { total_time_ms, downtime_ms, payload_bytes, disk } = result.migration
  return {
    outcome: result.outcome,
    total_time_ms,
    downtime_ms,
    payload_bytes: payload_bytes + (disk?.bytes_sent ?? 0),
  }
}
