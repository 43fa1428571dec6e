/**
 * Replicas of disk images over several sites, in virtual time (scheme 16, our reconstruction): where to put them, what
 * a synchronisation sends, where the guest should run. An image is a list of block hashes; a site stores each once.
 */

/** Content of each block, by number; equal contents have equal hashes. */
export type Image = readonly number[]

export interface Site {
  readonly name: string
  /** For a block and the horizon of a decision. */
  readonly storageCost: number
  /** For running the guest over the horizon, at a time. */
  readonly computeCost: (atNs: number) => number
  /** To the guest's users. */
  readonly latencyNs: number
}

export interface Needs {
  readonly maxLatencyNs: number
  readonly maxReplicas: number
}

/** What a site stores: blocks of all images that it has a replica of, each content once. */
export class BlockStore {
  readonly #references = new Map<number, number>()
  readonly #images = new Map<string, Image>()

  /** Different contents that are stored. */
  get blocks(): number {
    return this.#references.size
  }

  /** Blocks that a synchronisation would send: contents that are not here, each once. */
  missing(image: Image): number {
    return new Set(image.filter((hash) => !this.#references.has(hash))).size
  }

  /** Brings the replica of an image up to date. Returns how many blocks were sent. */
  synchronise(name: string, image: Image): number {
    const sent = this.missing(image)
    for (const hash of image) this.#references.set(hash, (this.#references.get(hash) ?? 0) + 1)
    for (const hash of this.#images.get(name) ?? []) this.#drop(hash)
    this.#images.set(name, [...image])
    return sent
  }

  #drop(hash: number): void {
    const left = (this.#references.get(hash) ?? 0) - 1
    if (left > 0) this.#references.set(hash, left)
    else this.#references.delete(hash)
  }
}

/**
 * The sites that are to have a replica beside the primary: of those near enough to the users, one after the other the
 * one that promises most, until it promises nothing. The saving in computing is against the cheapest of the primary and
 * those chosen already, at each of the times at which the guest may move.
 */
export function placeReplicas(
  sites: ReadonlyMap<Site, BlockStore>,
  primary: Site,
  image: Image,
  needs: Needs,
  timesNs: readonly number[],
): readonly Site[] {
  const chosen: Site[] = []
  const cheapest = timesNs.map((atNs) => primary.computeCost(atNs))
  while (chosen.length < needs.maxReplicas) {
    let best: Site | undefined
    let bestGain = 0
    for (const [site, store] of sites) {
      if (site === primary || chosen.includes(site) || site.latencyNs > needs.maxLatencyNs) continue
      const saved = cheapest.map((cost, i) => Math.max(0, cost - site.computeCost(timesNs[i]!)))
      const gain = saved.reduce((sum, one) => sum + one, 0) - site.storageCost * store.missing(image)
      if (gain > bestGain) {
        best = site
        bestGain = gain
      }
    }
    if (best === undefined) break
    chosen.push(best)
    for (const [i, atNs] of timesNs.entries()) cheapest[i] = Math.min(cheapest[i]!, best.computeCost(atNs))
  }
  return chosen
}

/** Where the guest should run from now on: the cheapest holder of a replica, if the move is worth what it costs. */
export function scheduled<S extends Site>(
  primary: S,
  holders: ReadonlyMap<S, BlockStore>,
  image: Image,
  { maxLatencyNs }: Needs,
  migrationCost: (unsyncedBlocks: number) => number,
  atNs: number,
): S {
  let best = primary
  let bestGain = 0
  for (const [site, store] of holders) {
    if (site === primary || site.latencyNs > maxLatencyNs) continue
    const gain = primary.computeCost(atNs) - site.computeCost(atNs) - migrationCost(store.missing(image))
    if (gain > bestGain) {
      best = site
      bestGain = gain
    }
  }
  return best
}
