/** Where two JSON documents differ. */

export interface Difference {
  /** `classes[2].packets_lost` */
  readonly path: string
  readonly recorded: unknown
  readonly recomputed: unknown
}

/** At most `limit` differences, in document order; numbers must be the same to the last bit. */
export function differencesOf(recorded: unknown, recomputed: unknown, limit = 100): Difference[] {
  const found: Difference[] = []
  compare('', recorded, recomputed, found, limit)
  return found
}

function compare(
  path: string,
  recorded: unknown,
  recomputed: unknown,
  found: Difference[],
  limit: number,
): void {
  if (found.length >= limit || Object.is(recorded, recomputed)) return
  const [one, other] = [entriesOf(recorded), entriesOf(recomputed)]
  if (one === undefined || other === undefined || Array.isArray(recorded) !== Array.isArray(recomputed)) {
    found.push({ path, recorded, recomputed })
    return
  }
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const place = Array.isArray(recorded) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
    compare(place, one.get(key), other.get(key), found, limit)
  }
}

function entriesOf(value: unknown): Map<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined
}
