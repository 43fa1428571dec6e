/**
 * A capture replayed as cross-traffic. Its IPv4 frames are readdressed to nobody at the destination's card, so that no
 * socket of the lab meets them; who sends and who counts has the interface open in a process of its own.
 */

import { type Meter, startMeter } from '../../capture/meter.js'
import type { Pace } from '../../replay/pacing.js'
import { preflight } from '../../replay/preflight.js'
import { prepareReplay, type Replayer, type ReplaySettings } from '../../replay/replayer.js'
import { assert } from '../../support/assert.js'
import { failure, messageOf, PagewireError, usageError } from '../../support/errors.js'
import { monotonicNs } from '../clock.js'
import { mbps, milliseconds, type OnFlowError, type TrafficFlow } from './flow.js'
import type { CaptureConfig, FlowConfig, ReceiveStats, SendStats } from './protocol.js'

export class PcapSender implements TrafficFlow {
  readonly port = 0
  private startNs: number | undefined
  private endNs: number | undefined

  private constructor(
    readonly config: FlowConfig,
    private readonly replayer: Replayer,
    private readonly onError: OnFlowError,
  ) {}

  /** Usage error when the file cannot be read to its end, or has frames that cannot be sent here. */
  static async open(config: FlowConfig, onError: OnFlowError): Promise<PcapSender> {
    const settings = settingsOf(config)
    await check(settings)
    return new PcapSender(config, await prepareReplay(settings), onError)
  }

  begin(): void {
    if (this.endNs !== undefined) return
    this.startNs = monotonicNs()
    this.replayer.start()
    this.replayer.ended.then(
      () => this.check(),
      (error) => this.onError(asFailure(error)),
    )
  }

  end(): void {
    if (this.endNs !== undefined) return
    this.endNs = monotonicNs()
    this.replayer.stop()
  }

  lastArrivalNs(): number {
    return 0
  }

  stats(): SendStats {
    const { id, kind, class: className, rate_bps: rateBps } = this.config
    const {
      frames_sent: packets,
      bytes_sent: bytes,
      duration_ms: sentMs,
      frames_given_up,
    } = this.replayer.counts
    // One that came to the end of its file has sent for as long as that took.
    const ranNs = this.startNs === undefined ? 0 : (this.endNs ?? monotonicNs()) - this.startNs
    const durationNs = this.config.capture?.loop === true ? ranNs : Math.min(ranNs, sentMs * 1e6)
    return {
      id,
      role: 'send',
      kind,
      class: className,
      duration_ms: milliseconds(durationNs),
      asked_mbps: rateBps === undefined ? null : rateBps / 1e6,
      offered_mbps: mbps(bytes, durationNs),
      packets,
      frame_bytes: bytes,
      skipped: frames_given_up,
      blocked: 0,
      retransmits: null,
    }
  }

  async close(): Promise<void> {
    this.end()
    await this.replayer.ended.catch(() => {})
  }

  /** Waits until the counts are final. */
  async settled(): Promise<void> {
    await this.replayer.ended.catch(() => {})
  }

  private check(): void {
    const { frames_failed, frames_given_up, failure: reason } = this.replayer.counts
    const failed = frames_failed - frames_given_up
    if (failed === 0) return
    this.onError(
      failure(
        `replay of ${this.config.capture?.file}: ${failed} frames were not sent (${reason ?? 'unknown'})`,
        {
          code: 'replay-failed',
        },
      ),
    )
  }
}

/** Counts what arrives, at the card: there is no socket for it. */
export class PcapReceiver implements TrafficFlow {
  readonly port = 0
  private packets = 0
  private bytes = 0
  private firstNs = 0
  private lastNs = 0
  private meter: Meter | undefined

  private constructor(readonly config: FlowConfig) {}

  static async open(config: FlowConfig, onError: OnFlowError): Promise<PcapReceiver> {
    const receiver = new PcapReceiver(config)
    const { device, destination_address: address } = captureOf(config)
    receiver.meter = await startMeter({
      inside: [],
      device,
      intervalMs: arrivalIntervalMs,
      filter: `vlan and ip dst ${address.join('.')}`,
      onInterval: ({ classes }) => {
        for (const { frames, bytes } of classes) receiver.take(frames, bytes)
      },
    })
    receiver.meter.ended.catch((error) => onError(asFailure(error)))
    return receiver
  }

  begin(): void {}

  end(): void {}

  lastArrivalNs(): number {
    return this.lastNs
  }

  stats(): ReceiveStats {
    const { id, kind, class: className } = this.config
    return {
      id,
      role: 'receive',
      kind,
      class: className,
      duration_ms: milliseconds(this.lastNs - this.firstNs),
      packets: this.packets,
      payload_bytes: 0,
      frame_bytes: this.bytes,
      unique: this.packets,
      lost: null,
      duplicates: null,
      reordered: null,
      dropped_at_socket: 0,
      foreign: 0,
      delay_ms: null,
    }
  }

  async close(): Promise<void> {
    this.meter?.stop()
    await this.meter?.ended.catch(() => {})
  }

  private take(frames: number, bytes: number): void {
    const nowNs = monotonicNs()
    if (this.firstNs === 0) this.firstNs = nowNs
    this.lastNs = nowNs
    this.packets += frames
    this.bytes += bytes
  }
}

/** Shorter than the time of quiet after which a receiver takes the queues for empty. */
const arrivalIntervalMs = 25

function settingsOf(config: FlowConfig): ReplaySettings {
  const capture = captureOf(config)
  const pace: Pace =
    config.rate_bps === undefined
      ? { kind: 'speed', speed: capture.speed }
      : { kind: 'bps', bps: config.rate_bps }
  return {
    file: capture.file,
    // What is not IPv4 could not be told apart at the destination, or would be taken for the lab's own (ARP).
    filter: 'ip',
    rewrite: {
      vlan: capture.vlan,
      ...(capture.pcp_by_dscp === undefined
        ? { pcp: config.pcp, dscp: config.dscp }
        : { pcp: capture.pcp_by_dscp }),
      between: {
        sourceMac: capture.source_mac,
        destinationMac: capture.destination_mac,
        sourceAddress: capture.source_address,
        destinationAddress: capture.destination_address,
      },
    },
    device: capture.device,
    mtuBytes: capture.mtu_bytes,
    pace,
    passes: capture.loop ? 0 : 1,
    exact: false,
  }
}

function captureOf(config: FlowConfig): CaptureConfig {
  assert(config.capture !== undefined, 'the schema asks for it')
  return config.capture
}

async function check(settings: ReplaySettings): Promise<void> {
  const { file, pace, mtuBytes } = settings
  const found = await preflight(settings, pace, mtuBytes)
  const { frames, tooLong, tooShort, notEthernet, problem } = found
  const refuse = (reason: string, next: string): PagewireError =>
    usageError(`cross-traffic replays ${file}: ${reason}`, { code: 'bad-capture', next })
  if (problem !== undefined) throw refuse(problem.message, 'Give it a capture that is whole.')
  if (frames === 0) throw refuse('it has no IPv4 frame', 'Only IPv4 frames are replayed as cross-traffic.')
  if (settings.passes === 0 && pace.kind === 'speed' && found.durationNs === 0) {
    throw refuse('all its frames are of one moment', 'Give the stream a rate, or loop: false.')
  }
  if (notEthernet + tooShort > 0) {
    throw refuse(
      `${notEthernet + tooShort} frames have no Ethernet header`,
      'Record on an Ethernet interface.',
    )
  }
  if (tooLong > 0) {
    const next = 'Raise link.mtu, or record with segmentation offloads off (ethtool -K).'
    throw refuse(`${tooLong} frames are longer than link.mtu (${mtuBytes}) lets through`, next)
  }
}

function asFailure(error: unknown): PagewireError {
  return error instanceof PagewireError
    ? error
    : failure(`pcap: ${messageOf(error)}`, { code: 'traffic-failed', cause: error })
}
