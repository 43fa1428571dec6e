/**
 * Writes small WebAssembly modules: one function over one memory, put together from the instructions below. For the
 * few loops that run for every frame of a capture. Knows the binary format (WebAssembly Core Specification 1.0,
 * section 5), and nothing of what the loops do.
 */

/** Instructions: bytes, and instructions inside of them. */
export type Code = readonly (number | Code)[]

type ValueType = 'i32' | 'f64' | 'v128'
const typeCodes = { i32: 0x7f, f64: 0x7c, v128: 0x7b } as const

/** A parameter or local variable of the function. */
export interface Local {
  readonly get: Code
  set(value: Code): Code
}

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  load: (address: Code, offset = 0): Code => [address, 0x28, 2, ...unsigned(offset)],
  load8: (address: Code, offset = 0): Code => [address, 0x2d, 0, ...unsigned(offset)],
  load16: (address: Code, offset = 0): Code => [address, 0x2f, 1, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [address, value, 0x36, 2, ...unsigned(offset)],
  equal: (a: Code, b: Code): Code => [a, b, 0x46],
  unequal: (a: Code, b: Code): Code => [a, b, 0x47],
  less: (a: Code, b: Code): Code => [a, b, 0x48],
  /** `less` without regard to the sign. */
  below: (a: Code, b: Code): Code => [a, b, 0x49],
  greater: (a: Code, b: Code): Code => [a, b, 0x4a],
  atMost: (a: Code, b: Code): Code => [a, b, 0x4c],
  atLeast: (a: Code, b: Code): Code => [a, b, 0x4e],
  add: (a: Code, b: Code): Code => [a, b, 0x6a],
  subtract: (a: Code, b: Code): Code => [a, b, 0x6b],
  multiply: (a: Code, b: Code): Code => [a, b, 0x6c],
  and: (a: Code, b: Code): Code => [a, b, 0x71],
  or: (a: Code, b: Code): Code => [a, b, 0x72],
  xor: (a: Code, b: Code): Code => [a, b, 0x73],
  shiftLeft: (a: Code, bits: Code): Code => [a, bits, 0x74],
  /** Without regard to the sign. */
  shiftRight: (a: Code, bits: Code): Code => [a, bits, 0x76],
  rotateLeft: (a: Code, bits: Code): Code => [a, bits, 0x77],
  /** Zero bits above the highest one. */
  leadingZeros: (a: Code): Code => [a, 0x67],
} as const

export const f64 = {
  constant: (value: number): Code => [0x44, ...new Uint8Array(new Float64Array([value]).buffer)],
  load: (address: Code, offset = 0): Code => [address, 0x2b, 3, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [address, value, 0x39, 3, ...unsigned(offset)],
  add: (a: Code, b: Code): Code => [a, b, 0xa0],
  subtract: (a: Code, b: Code): Code => [a, b, 0xa1],
  multiply: (a: Code, b: Code): Code => [a, b, 0xa2],
  equal: (a: Code, b: Code): Code => [a, b, 0x61],
  less: (a: Code, b: Code): Code => [a, b, 0x63],
  atLeast: (a: Code, b: Code): Code => [a, b, 0x66],
  fromUnsigned: (a: Code): Code => [a, 0xb8],
  fromSigned: (a: Code): Code => [a, 0xb7],
  /** To an integer, towards 0. */
  toSigned: (a: Code): Code => [a, 0xaa],
  toUnsigned: (a: Code): Code => [a, 0xab],
} as const

/** Four 32-bit words at a time (WebAssembly Core Specification 2.0, vector instructions). */
export const v128 = {
  load: (address: Code, offset = 0): Code => [address, 0xfd, 0x00, 0, ...unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [
    address,
    value,
    0xfd,
    0x0b,
    0,
    ...unsigned(offset),
  ],
  /** Each word in the other byte order. */
  swapped: (words: Local): Code => [
    words.get,
    words.get,
    [0xfd, 0x0d, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12],
  ],
} as const

/** Runs `body` for ever; `leave`, `leaveIf` and `again`, directly in it, leave it and go back to its start. */
export function loop(...body: readonly Code[]): Code {
  return [0x02, 0x40, 0x03, 0x40, ...body, 0x0b, 0x0b]
}

export const again: Code = againFrom(0)

/** `again` within as many `when`s in the loop's body. */
export function againFrom(inside: number): Code {
  return [0x0c, inside]
}

/** Leaves the loop; `inside` counts the `when`s around it in the loop's body. */
export function leaveIf(condition: Code, inside = 0): Code {
  return [condition, 0x0d, 1 + inside]
}

export function when(condition: Code, then: readonly Code[], otherwise: readonly Code[] = []): Code {
  const second = otherwise.length === 0 ? [] : [0x05, ...otherwise]
  return [condition, 0x04, 0x40, ...then, ...second, 0x0b]
}

/** The 32-bit word in the other byte order; its two halves' bytes meet in two rotations. */
export function swapped(word: Local): Code {
  return i32.or(
    i32.and(i32.rotateLeft(word.get, i32.constant(8)), i32.constant(0x00ff_00ff)),
    i32.and(i32.rotateLeft(word.get, i32.constant(24)), i32.constant(0xff00_ff00)),
  )
}

/** A function of 32-bit integers that returns one; `body` leaves its result on the stack. */
export class WasmFunction {
  private parameters = 0
  private readonly locals: ValueType[] = []

  /** All parameters come before the first local variable. */
  parameter(): Local {
    return local(this.parameters++)
  }

  local(type: ValueType): Local {
    this.locals.push(type)
    return local(this.parameters + this.locals.length - 1)
  }

  /** The function made of `body`, compiled, over `memory`. */
  compile({ memory }: WasmArena, ...body: readonly Code[]): (...args: number[]) => number {
    const declarations = this.locals.flatMap((type) => [1, typeCodes[type]])
    const code = [...unsigned(this.locals.length), ...declarations]
    append(code, body)
    code.push(0x0b)
    const parameters = Array.from({ length: this.parameters }, () => typeCodes.i32)
    const bytes = new Uint8Array([
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, [1, 0x60, ...unsigned(this.parameters), ...parameters, 1, typeCodes.i32]),
      ...section(2, [1, 1, 0x6d, 1, 0x6d, 0x02, 3, 1, ...unsigned(maxPages)]),
      ...section(3, [1, 0]),
      ...section(7, [1, 1, 0x66, 0, 0]),
      ...section(10, [1, ...unsigned(code.length), ...code]),
    ])
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory } }).exports.f
  }
}

const pageBytes = 64 * 1024
/** Pages that a memory may grow to: 4 GiB, all that 32 bits address. */
const maxPages = 65_536
/** Bytes of a cache line. Places are multiples of it: what fits into a line lies in one. */
const alignment = 64

interface WasmMemory {
  readonly buffer: SharedArrayBuffer
  grow(pages: number): number
}

interface ArrayKind<T> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: SharedArrayBuffer, place: number, length: number): T
}

/** A memory that functions work on, handed out piece by piece. */
export class WasmArena {
  /** All of the memory; new views when it grows, but the old ones stay good as far as they reach. */
  ints: Int32Array
  doubles: Float64Array
  // Shared, because only such views survive growth.
  readonly memory: WasmMemory = new WebAssembly.Memory({ initial: 1, maximum: maxPages, shared: true })
  // Address 0 stays free: it can mean "none".
  private used = alignment
  // What tables left behind when they moved to a larger place; it is in the cache, and costs no new pages.
  private left = { place: 0, end: 0 }

  constructor() {
    this.ints = new Int32Array(this.memory.buffer)
    this.doubles = new Float64Array(this.memory.buffer)
  }

  get buffer(): SharedArrayBuffer {
    return this.memory.buffer
  }

  /** Where `bytes` zeros begin. */
  allocate(bytes: number): number {
    const size = Math.ceil(bytes / alignment) * alignment
    const place = this.left.place
    if (place + size <= this.left.end) {
      this.left.place += size
      this.ints.fill(0, place / 4, (place + size) / 4)
      return place
    }
    return this.extend(size)
  }

  /** An array of `length` zeros; its `byteOffset` is its address. */
  array<T>(kind: ArrayKind<T>, length: number): T {
    // The memory may grow: only then is there a view of all of it.
    const place = this.allocate(length * kind.BYTES_PER_ELEMENT)
    return new kind(this.buffer, place, length)
  }

  /** Takes `bytes` at `place` back, which nothing uses any more. */
  giveBack(place: number, bytes: number): void {
    if (bytes > this.left.end - this.left.place) this.left = { place, end: place + bytes }
  }

  private extend(size: number): number {
    const place = this.used
    this.used = place + size
    const missing = this.used - this.doubles.byteLength
    if (missing > 0) this.grow(missing)
    return place
  }

  /** By half at least: what is not yet used takes up addresses but no memory. */
  private grow(missing: number): void {
    const have = this.doubles.byteLength / pageBytes
    const wanted = Math.max(Math.ceil(missing / pageBytes), Math.floor(have / 2))
    this.memory.grow(Math.min(wanted, Math.max(Math.ceil(missing / pageBytes), maxPages - have)))
    this.ints = new Int32Array(this.memory.buffer)
    this.doubles = new Float64Array(this.memory.buffer)
  }
}

/** The part of the global that is used: the types of Node leave it to those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number; shared: boolean }) => WasmMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { readonly m: { readonly m: WasmMemory } },
  ) => { readonly exports: { readonly f: (...args: number[]) => number } }
}

function local(index: number): Local {
  return {
    get: [0x20, ...unsigned(index)],
    set: (value) => [value, 0x21, ...unsigned(index)],
  }
}

function append(bytes: number[], code: Code): void {
  for (const part of code) {
    if (typeof part === 'number') bytes.push(part)
    else append(bytes, part)
  }
}

function section(id: number, content: readonly number[]): readonly number[] {
  return [id, ...unsigned(content.length), ...content]
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** Signed LEB128. */
function signed(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value | 0; ; rest >>= 7) {
    const low = rest & 0x7f
    if (rest >> 6 === 0 || rest >> 6 === -1) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}
