/**
 * The published JSON schema of a scenario: every key, its meaning, its unit, its default. `pagewire scenario --schema` prints it.
 *
 * A word that the product knows but this version cannot carry out has the keyword `planned`: `true` for a whole
 * key, a list for single values of an enumeration. Using one is an error. To open it, carry it out, delete it from
 * `planned` and add it to `ScenarioDocument`; nothing else decides what a scenario may ask for.
 */

import type { ContentKind, Recipe } from '../memory/content.js'
import type { MarkedLane } from '../migration/lanes.js'
import type { WorkloadKind } from '../workload/workload.js'

const bytes = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?\\s*(B|KiB|MiB|GiB|TiB)$',
  description: 'a memory size; write it like 64MiB (units: B, KiB, MiB, GiB, TiB)',
}

const rate = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?\\s*(bit|kbit|mbit|gbit)$',
  description: 'a rate; write it like 200mbit (units: bit, kbit, mbit, gbit)',
}

const duration = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?\\s*(ns|us|ms|s|min|h)$',
  description: 'a duration; write it like 300ms (units: ns, us, ms, s, min, h)',
}

const percent = {
  type: 'string',
  pattern: '^(100(\\.0+)?|\\d{1,2}(\\.\\d+)?)\\s*%$',
  description: 'a percentage from 0% to 100%; write it like 10%',
}

const pagesPerSecond = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?\\s*pages/s$',
  description: 'a dirty rate; write it like 3000 pages/s',
}

const partOfMemory = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?\\s*(%|B|KiB|MiB|GiB|TiB)$',
  description: 'a part of memory; write it like 10% or 16MiB',
}

const trafficClass = {
  type: ['string', 'integer'],
  pattern: '^[A-Za-z0-9][A-Za-z0-9-]*$',
  description: 'a traffic class; write a name like CS7, EF or best-effort, or a DSCP from 0 to 63',
}

const ref = (name: string, more: object): object => ({ $ref: `#/$defs/${name}`, ...more })

const section = (title: string, properties: Readonly<Record<string, object>>): object => ({
  type: 'object',
  title,
  description: `a map of ${Object.keys(properties).join(', ')}`,
  additionalProperties: false,
  default: {},
  properties,
})

const link = section('the congested port: the switch port towards the destination', {
  rate: ref('rate', { default: '200mbit', title: 'what the port sends at most, in bits of whole frames' }),
  discipline: {
    enum: ['strict', 'ets', 'fifo'],
    default: 'strict',
    title:
      'strict: eight PCP queues in strict order; ets: weighted shares; fifo: one queue, a switch without QoS',
  },
  queue: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    default: 256,
    title: 'packets that each queue holds',
  },
  mtu: {
    type: 'integer',
    minimum: 576,
    maximum: 9000,
    default: 1500,
    title: 'bytes of the largest IP packet',
  },
  weights: {
    type: 'object',
    minProperties: 1,
    additionalProperties: { type: 'integer', minimum: 1, maximum: 1000 },
    description: 'a map of traffic classes and their weights, such as { CS7: 2, best-effort: 1 }',
    title: 'with discipline ets: share of each traffic class; 1 for a class that is not named',
  },
  guarantees: {
    type: 'object',
    minProperties: 1,
    additionalProperties: ref('rate', {}),
    description: 'a map of traffic classes and rates, such as { best-effort: 20mbit }',
    title:
      'with discipline strict: what the port keeps for a traffic class, whatever the order. Needs dataplane tc-bpf in the lab',
  },
  paths: {
    type: 'integer',
    minimum: 1,
    maximum: 8,
    default: 1,
    title:
      'parallel paths of this rate, for schemes with channels; the cross-traffic is on the first. More than 1 needs dataplane tc-bpf in the lab',
  },
  per_flow: {
    type: 'boolean',
    default: false,
    title:
      'the flows of a queue take turns of one packet (deficit round robin) instead of the order of arrival. true needs dataplane tc-bpf in the lab',
  },
  delay: ref('duration', {
    title: 'added to every frame, in both directions; delay to reorder need dataplane vlan',
  }),
  jitter: ref('duration', { title: 'spread of the delay' }),
  loss: ref('percent', { title: 'frames lost at random' }),
  reorder: ref('percent', { title: 'frames that overtake the delayed ones' }),
})

const workload = section('what the guest writes while it is being migrated', {
  kind: {
    enum: ['idle', 'cycle', 'iid', 'hot', 'nested', 'phase', 'scan', 'trace'],
    default: 'hot',
    title: 'which pages are written',
  },
  dirty_ratio: {
    type: 'number',
    minimum: 0,
    maximum: 100,
    title: 'bytes dirtied per byte of page payload that the idle link can carry; 0.5 where no rate is given',
  },
  dirty_rate: ref('pages_per_second', { title: 'page writes per second, instead of dirty_ratio' }),
  working_set: ref('part_of_memory', {
    title:
      'pages that hot and phase prefer (10% where not given), or that other kinds are confined to (100%)',
  }),
  hot_share: ref('percent', {
    title: 'with kind hot or phase: writes that go to the working set; 90% where not given',
  }),
  growth: ref('percent', {
    title: 'writes that take a free page into use, while there is one; 0% where not given',
  }),
  period: ref('duration', { title: 'with kind phase: how long a working set stays; 1s where not given' }),
  file: {
    type: 'string',
    minLength: 1,
    title:
      'with kind trace: the trace to replay; a relative name is beside the scenario, in a plan in the working directory',
  },
})

const inputs = {
  type: 'object',
  additionalProperties: false,
  required: ['per_second'],
  description: 'a map of per_second and size, like { per_second: 1000, size: 64B }',
  title:
    'what reaches the guest from outside (packets, timers), each writing two pages; nothing where not given',
  properties: {
    per_second: { type: 'number', minimum: 0, maximum: 1_000_000, title: 'of guest time, on average' },
    size: ref('bytes', { default: '64B', title: 'of each input' }),
  },
}

const content = section('what the pages hold', {
  kind: {
    enum: ['zero', 'regular', 'pointer', 'random', 'sparse-update', 'mix'],
    default: 'random',
    title: 'recipe of the page bytes',
  },
  shares: {
    type: 'object',
    minProperties: 1,
    additionalProperties: false,
    properties: Object.fromEntries(
      ['zero', 'regular', 'pointer', 'random', 'sparse-update'].map((kind) => [
        kind,
        { type: 'number', exclusiveMinimum: 0 },
      ]),
    ),
    title: 'with kind mix: weight of each recipe',
  },
})

const disk = section('the guest’s disk, which only some schemes move with it', {
  size: ref('bytes', { default: '16MiB', title: 'a multiple of block_size, up to 64GiB' }),
  block_size: ref('bytes', { default: '4KiB', title: 'a power of two from 512B to 32KiB' }),
  write_ratio: {
    type: 'number',
    minimum: 0,
    maximum: 100,
    default: 0.1,
    title: 'bytes written to the disk per byte of blocks that the idle link can carry; 0: a silent disk',
  },
  working_set: ref('percent', { default: '25%', title: 'blocks that are ever written' }),
  replica: ref('percent', {
    default: '75%',
    title: 'with a scheme that asks (cloudspider): blocks that the destination holds from before',
  }),
})

const guest = section('the virtual machine', {
  memory: ref('bytes', { default: '64MiB', title: 'up to 64GiB, a multiple of page_size' }),
  page_size: ref('bytes', { default: '4KiB', title: 'a power of two from 4KiB to 2MiB' }),
  device_state: ref('bytes', { default: '256KiB', title: 'sent while the guest is suspended; up to 1GiB' }),
  free: ref('part_of_memory', {
    default: '0%',
    title: 'memory that the guest does not use: at its end, and sent like any other unless it is ballooned',
  }),
  balloon: ref('part_of_memory', {
    default: '0%',
    title: 'free memory that the guest has returned to the hypervisor before: no scheme sends it',
  }),
  workload,
  inputs,
  content,
  disk,
})

const migration = section('how the guest is moved', {
  strategy: { type: 'string', minLength: 1, default: 'pre-copy', title: 'name of a migration strategy' },
  options: { type: 'object', default: {}, title: 'options of that strategy' },
  marking: section('traffic class of each lane; best-effort = unmarked', {
    bulk: ref('class', { default: 'CS7', title: 'pages copied while the guest runs' }),
    final: ref('class', { title: 'the rest, while it is suspended; the class of bulk where not given' }),
    faults: ref('class', {
      title: 'pages that the resumed guest waits for (post-copy); the class of final where not given',
    }),
    storage: ref('class', {
      title: 'blocks that the destination reads from shared storage; the class of bulk where not given',
    }),
    disk: ref('class', {
      title: 'blocks of the guest’s disk, for schemes that move it; the class of bulk where not given',
    }),
    deltas: ref('class', {
      title: 'writes to the disk that are forwarded as they happen; the class of disk where not given',
    }),
    log: ref('class', {
      title: 'logged inputs of a guest that is executed again (cr-tr); the class of bulk where not given',
    }),
  }),
  max_total_time: ref('duration', {
    default: '120s',
    title: 'then the migration is aborted: a result, the guest runs on at the source',
  }),
  congestion_control: {
    type: 'string',
    pattern: '^[a-z][a-z0-9_]{0,14}$',
    default: 'cubic',
    description: 'the name of a TCP congestion control; write it like cubic',
  },
  lane_buffer: ref('bytes', {
    title: 'send buffer of each lane (SO_SNDBUF); the kernel tunes it where not given',
  }),
})

const crossTraffic = {
  type: 'array',
  maxItems: 64,
  default: [],
  description: 'a list of streams that compete with the migration; none where the key is absent',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['kind'],
    description: 'a stream, like { kind: udp-cbr, rate: 120mbit, class: best-effort }',
    properties: {
      kind: {
        enum: ['udp-cbr', 'tcp-bulk', 'pcap'],
        title:
          'udp-cbr: datagrams at a constant rate; tcp-bulk: connections that send all they can; pcap: a capture replayed',
      },
      rate: ref('rate', {
        title:
          'of all flows together, in bits of whole frames; needed by udp-cbr, an upper limit for tcp-bulk, the pace of pcap',
      }),
      flows: { type: 'integer', minimum: 1, maximum: 256, default: 1, title: 'how many at once' },
      class: ref('class', { title: 'best-effort where not given; with pcap: as captured' }),
      from: { enum: ['neighbour', 'source'], default: 'neighbour', title: 'the host that sends' },
      start: ref('duration', { default: '0s', title: 'after the start of the migration' }),
      stop: ref('duration', { title: 'after the start of the migration; at its end where not given' }),
      packet_size: ref('bytes', { title: 'with udp-cbr: the IP packet; the MTU where not given' }),
      file: {
        type: 'string',
        minLength: 1,
        title: 'with pcap: the capture whose IPv4 frames are replayed; relative to the working directory',
      },
      speed: {
        type: 'number',
        exclusiveMinimum: 0,
        title: 'with pcap and no rate: times the speed of the capture; 1 where not given',
      },
      loop: {
        type: 'boolean',
        title: 'with pcap: begin again at the end of the file, which it does where not given',
      },
    },
  },
}

const client = section('who asks the guest over the tenants’ network, wherever it runs', {
  rate: {
    type: 'integer',
    minimum: 0,
    maximum: 5000,
    default: 1000,
    title: 'questions per second, and answers; 0: nobody asks',
  },
  class: ref('class', { default: 'best-effort', title: 'of the questions and the answers' }),
  port: {
    enum: ['congested', 'own'],
    default: 'congested',
    title:
      'how questions reach a guest that has moved: through the congested port, or beside its queues, as over a link of their own',
  },
  network: {
    enum: ['same', 'other'],
    default: 'same',
    title:
      'other: the guest gets a new address at the destination; its old host sends old connections after it through a tunnel, new ones find it by name',
  },
  name_ttl: ref('duration', {
    default: '100ms',
    title: 'with network other: how long an answer of the name service holds',
  }),
})

const classes = {
  type: 'object',
  default: {},
  description: 'a map from class names to rows, like { CS7: { pcp: 6 } }',
  title: 'rows of the marking table that this scenario changes or adds',
  propertyNames: { pattern: '^[A-Za-z][A-Za-z0-9-]*$' },
  additionalProperties: {
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    description: 'a row, like { dscp: 56, pcp: 7 }',
    properties: {
      dscp: { type: 'integer', minimum: 0, maximum: 63 },
      pcp: { type: 'integer', minimum: 0, maximum: 7 },
    },
  },
}

const path = {
  type: 'object',
  title: 'what a hostile network does to the marks on the way',
  description: 'a map of bleach, remark, strip, police, invert',
  additionalProperties: false,
  properties: {
    bleach: { type: 'boolean', title: 'the switch clears the DSCP' },
    remark: { type: 'integer', minimum: 0, maximum: 7, title: 'the switch rewrites every PCP to this one' },
    strip: { type: 'boolean', title: 'the switch removes the tag' },
    police: ref('rate', { title: 'the top class is limited to this rate' }),
    invert: { type: 'boolean', title: 'the queues are served in the wrong order' },
  },
}

export const scenarioSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Pagewire scenario',
  description: 'a scenario: a map of name, seed, link, guest, migration, cross_traffic and so on',
  type: 'object',
  additionalProperties: false,
  properties: {
    name: {
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
      default: 'unnamed',
      description: 'a name of up to 64 letters, digits, dots, hyphens and underscores',
    },
    seed: {
      type: 'integer',
      minimum: 0,
      maximum: 0xffffffff,
      default: 1,
      title: 'of everything random: the same seed gives the same guest and the same traffic',
    },
    link,
    guest,
    migration,
    cross_traffic: crossTraffic,
    client,
    classes,
    path,
    capture: section('what the captures keep', {
      snaplen: { type: 'integer', minimum: 96, maximum: 65535, default: 128, title: 'bytes of each frame' },
    }),
    dataplane: {
      enum: ['auto', 'vlan', 'tc-bpf'],
      default: 'auto',
      title:
        'vlan: VLAN devices and the qdiscs of the kernel; tc-bpf: the same by eBPF; auto: what the box can do',
    },
  },
  $defs: {
    bytes,
    rate,
    duration,
    percent,
    pages_per_second: pagesPerSecond,
    part_of_memory: partOfMemory,
    class: trafficClass,
  },
}

export type Discipline = 'strict' | 'ets' | 'fifo'
export type Dataplane = 'auto' | 'vlan' | 'tc-bpf'

/** What the schema lets through: defaults filled in, quantities still as written, nothing that is only planned. */
export interface ScenarioDocument {
  readonly name: string
  readonly seed: number
  readonly link: {
    readonly rate: string
    readonly discipline: Discipline
    readonly queue: number
    readonly mtu: number
    readonly weights?: Readonly<Record<string, number>>
    readonly guarantees?: Readonly<Record<string, string>>
    readonly paths: number
    readonly per_flow: boolean
    readonly delay?: string
    readonly jitter?: string
    readonly loss?: string
    readonly reorder?: string
  }
  readonly guest: {
    readonly memory: string
    readonly page_size: string
    readonly device_state: string
    readonly workload: {
      readonly kind: WorkloadKind
      readonly dirty_ratio?: number
      readonly dirty_rate?: string
      readonly working_set?: string
      readonly hot_share?: string
      readonly growth?: string
      readonly period?: string
      readonly file?: string
    }
    readonly free: string
    readonly balloon: string
    readonly inputs?: { readonly per_second: number; readonly size: string }
    readonly content: {
      readonly kind: ContentKind
      readonly shares?: Readonly<Partial<Record<Recipe, number>>>
    }
    readonly disk: {
      readonly size: string
      readonly block_size: string
      readonly write_ratio: number
      readonly working_set: string
      readonly replica: string
    }
  }
  readonly migration: {
    readonly strategy: string
    readonly options: Readonly<Record<string, unknown>>
    readonly marking: { readonly bulk: string | number } & {
      readonly [lane in MarkedLane]?: string | number
    }
    readonly max_total_time: string
    readonly congestion_control: string
    readonly lane_buffer?: string
  }
  readonly cross_traffic: readonly CrossTrafficDocument[]
  readonly client: {
    readonly rate: number
    readonly class: string | number
    readonly port: 'congested' | 'own'
    readonly network: 'same' | 'other'
    readonly name_ttl: string
  }
  readonly classes: Readonly<Record<string, { readonly dscp?: number; readonly pcp?: number }>>
  readonly path?: {
    readonly bleach?: boolean
    readonly remark?: number
    readonly strip?: boolean
    readonly police?: string
    readonly invert?: boolean
  }
  readonly capture: { readonly snaplen: number }
  readonly dataplane: Dataplane
}

export interface CrossTrafficDocument {
  readonly kind: 'udp-cbr' | 'tcp-bulk' | 'pcap'
  readonly rate?: string
  readonly flows: number
  readonly class?: string | number
  readonly from: 'neighbour' | 'source'
  readonly start: string
  readonly stop?: string
  readonly packet_size?: string
  readonly file?: string
  readonly speed?: number
  readonly loop?: boolean
}
