/** Time series as CSV, one line per interval and class or direction of a flow. */

import { type FileRow, flowNames } from '../analysis/analysis-document.js'
import type { CapturePass } from '../analysis/capture-pass.js'
import type { Series } from '../analysis/series.js'
import { absent } from '../capture/frame.js'

interface Source {
  readonly file: FileRow
  readonly pass: CapturePass
}

export function seriesCsv(sources: readonly Source[], by: 'class' | 'flow'): string {
  const lines: string[] = []
  if (by === 'class') lines.push('file,vlan,pcp,dscp,time_s,interval_s,bytes,packets,throughput_mbps')
  else lines.push('file,protocol,source,destination,time_s,interval_s,bytes,packets,throughput_mbps')
  for (const { file, pass } of sources) {
    if (by === 'class') {
      for (const row of pass.classes.rows) {
        const name = [row.vlan, row.pcp, row.dscp].map((value) => (value === absent ? '' : String(value)))
        addSeries(lines, [file.file, ...name], row.series, pass.clock.intervalNs)
      }
      continue
    }
    for (const [row, series] of (pass.directionSeries ?? []).entries()) {
      const { protocol, a, b } = flowNames(pass, row >> 1)
      const ends = row % 2 === 0 ? [a, b] : [b, a]
      addSeries(lines, [file.file, protocol, ...ends], series, pass.clock.intervalNs)
    }
  }
  return `${lines.join('\n')}\n`
}

function addSeries(lines: string[], names: readonly string[], series: Series, intervalNs: number): void {
  const start = names.map(quoted).join(',')
  series.each((fromNs, bytes, packets) => {
    const mbps = (bytes * 8000) / intervalNs
    lines.push(`${start},${fromNs / 1e9},${intervalNs / 1e9},${bytes},${packets},${Number(mbps.toFixed(6))}`)
  })
}

/** RFC 4180: quotes around what has a comma, a quote or a line end. */
function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
