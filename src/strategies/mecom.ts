/**
 * Adaptive memory compression (Jin et al., CLUSTER 2009): each page goes by the words in it as a flag, a list of
 * bytes, through WKdm or through a general compressor. Rounds and stop rule are Xen's.
 */

import type { EncodingSpec } from '../memory/encoding.js'
import type { Intent, SchemeInfo, StrategyFactory, View } from '../migration/strategy.js'
import { flag, integer, lane, type OptionValues, optionHelp, rate, readOptions } from './options.js'

const options = {
  compress: flag(true, 'false: pages go raw, which is plain Xen'),
  threads: integer(0, 0, 64, 'threads that compress; 0: as few as keep up with the link, up to max_threads'),
  max_threads: integer(4, 1, 64, 'threads at most'),
  thread_rate: rate('1gbit', 'page bits per second that one thread is taken to compress'),
  threshold_pages: integer(50, 0, 2 ** 32, 'pages below which the guest is suspended'),
  max_rounds: integer(29, 1, 1_000_000, 'live rounds at most'),
  via: lane('bulk', 'lane of the live rounds'),
  final_via: lane('final', 'lane of the last round and the device state'),
}

type Options = OptionValues<typeof options>

const info: SchemeInfo = {
  name: 'mecom',
  number: 6,
  title: 'Adaptive memory compression (MECOM)',
  idea: 'Each page is compressed in the way that suits its words: zero, sparse, similar words, anything else.',
  source: 'Jin et al., CLUSTER 2009; WKdm: Wilson, Kaplan & Smaragdakis, USENIX 1999',
  origin: 'published',
  ours: 'The thresholds between the classes, the rule for the number of threads, and an LZ4 block coder in place of LZO.',
  options: optionHelp(options),
}

export const mecom: StrategyFactory = {
  info,
  create: (given) => {
    const chosen = readOptions(info.name, options, given)
    const { compress, threads, max_threads } = chosen
    return {
      info,
      ...(compress ? { threads: threads === 0 ? max_threads : threads } : {}),
      decide: (view) => decide(chosen, view),
    }
  },
}

function* decide(chosen: Options, first: View): Generator<Intent, void, View> {
  const compression = new Compression(chosen)
  let view = first
  for (let stop = false; !stop; ) {
    view = yield { ...copy(compression, view, chosen.via), skipRedirtied: true }
    compression.learn(view)
    const { sentPages, skippedPages } = view.lastCopy
    stop =
      view.round + 1 >= chosen.max_rounds ||
      sentPages + skippedPages < chosen.threshold_pages ||
      view.sentPages > 3 * view.totalPages
    if (!stop) view = yield { do: 'syncDirty' }
  }
  view = yield { do: 'suspend' }
  if (view.unsent.count > 0) yield copy(compression, view, chosen.final_via)
  yield { do: 'handover', via: chosen.final_via }
}

function copy(compression: Compression, view: View, via: Options['via']): Extract<Intent, { do: 'copy' }> {
  const { encoding } = compression
  return { do: 'copy', lanes: [{ pages: view.unsent, via, ...(encoding === undefined ? {} : { encoding }) }] }
}

/** Compression pays while it is faster than the link; then as few threads as keep the link busy. */
class Compression {
  readonly #chosen: Options
  #threads: number
  #linkBps = 0

  constructor(chosen: Options) {
    this.#chosen = chosen
    this.#threads = chosen.threads === 0 ? chosen.max_threads : chosen.threads
  }

  get encoding(): EncodingSpec | undefined {
    const { compress, thread_rate: speedBps } = this.#chosen
    if (!compress || this.#threads * speedBps <= this.#linkBps) return undefined
    return { kind: 'compress', threads: this.#threads, speedBps }
  }

  /** The link carries what was seen at best; the pages shrink as those of the last copy did. */
  learn({ lastCopy: { goodputBps, sentPages, durationNs }, pageBytes }: View): void {
    if (goodputBps === 0) return
    this.#linkBps = Math.max(this.#linkBps, goodputBps)
    if (this.#chosen.threads !== 0) return
    const pageBps = (sentPages * pageBytes * 8e9) / durationNs
    const wanted = Math.ceil((this.#linkBps * pageBps) / goodputBps / this.#chosen.thread_rate)
    this.#threads = Math.min(this.#chosen.max_threads, Math.max(1, wanted))
  }
}
