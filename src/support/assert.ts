/** A broken promise inside our own code: crash at once, with what was promised. Assertions stay on. */
export function assert(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${promise}`)
}

/** Marks the branch of a `switch` over a closed set that no value may reach. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: unexpected ${JSON.stringify(value)}`)
}
