/** The lanes of a migration: which a scenario marks, and what the others are marked as. Types and their one rule. */

/** A lane that a scenario gives a traffic class. */
export type MarkedLane = 'bulk' | 'final' | 'faults' | 'log' | 'storage' | 'disk' | 'deltas'

/**
 * A lane is a TCP connection of its own, open from the start, whose traffic class the scenario gives
 * (`migration.marking`). Changing the mark of a connection in mid-life reorders its packets (RFC 7657
 * section 5.1), so "set priority" is "choose the lane". Channels are further connections beside `bulk`;
 * levels are connections of the eight class selectors, for schemes that choose among priorities themselves.
 */
export type LaneName = MarkedLane | `channel-${number}` | `level-${number}`

/** The lane on which the destination reads shared storage: the source has no part in it. */
export const storageLane = 'storage'

/** The lane of the disk's blocks: a scheme that opens it moves the disk too. */
export const diskLane = 'disk'

/** Lanes that every migration opens; a strategy asks for others. */
export const usualLanes: readonly LaneName[] = ['bulk', 'final']

/** 0..7 for the lane of a class selector, whatever the scenario marks; undefined for any other lane. */
export function levelOf(lane: LaneName): number | undefined {
  return lane.startsWith('level-') ? Number(lane.slice('level-'.length)) : undefined
}

/** Of so many parallel paths the one that a lane keeps to: channels take them in turn, everything else the first. */
export function pathOf(lane: string, paths: number): number {
  return lane.startsWith('channel-') ? (Number(lane.slice('channel-'.length)) - 1) % paths : 0
}

/** The lane whose traffic class this one has. */
export function markedAs(lane: LaneName): MarkedLane {
  switch (lane) {
    case 'bulk':
    case 'final':
    case 'faults':
    case 'storage':
    case 'log':
    case 'disk':
    case 'deltas':
      return lane
    default:
      return 'bulk'
  }
}
