/**
 * Names of guests and where they are, with a time to live: a small stand-in for dynamic DNS. Whoever has asked goes by
 * the answer until its time is over, wherever the guest is meanwhile.
 */

interface Answer {
  readonly address: string
  readonly untilNs: number
}

export class NameTable {
  readonly #records = new Map<string, { readonly address: string; readonly ttlNs: number }>()

  /** The guest is at this address from now on; an answer holds for `ttlNs`. */
  set(name: string, address: string, ttlNs: number): void {
    this.#records.set(name, { address, ttlNs })
  }

  get(name: string): { readonly address: string; readonly ttlNs: number } | undefined {
    return this.#records.get(name)
  }
}

/** One client's view of the table. */
export class Resolver {
  readonly #table: NameTable
  readonly #answers = new Map<string, Answer>()

  constructor(table: NameTable) {
    this.#table = table
  }

  /** The address to connect to now; undefined for a name that nobody has. `nowNs` never goes back. */
  resolve(name: string, nowNs: number): string | undefined {
    const held = this.#answers.get(name)
    if (held !== undefined && nowNs < held.untilNs) return held.address
    const record = this.#table.get(name)
    if (record === undefined) return undefined
    this.#answers.set(name, { address: record.address, untilNs: nowNs + record.ttlNs })
    return record.address
  }
}
