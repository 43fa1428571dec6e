/** Where in memory each round found pages to send: the page map of a migration. */

import * as Plot from '@observablehq/plot'
import type { MigrationResult } from '../experiment/result.js'
import { regionPages } from '../migration/metrics.js'
import { figure } from './figure.js'
import { number } from './html.js'

interface Place {
  readonly rounds: string
  readonly firstPage: number
  readonly sent: number
  /** Of the region's pages, per round of the column; above 1 where pages were sent twice in one round. */
  readonly share: number
}

/** More columns than this cannot be told apart. */
const columnsMax = 40

/** Nothing where rounds do not say what they sent, as in results of earlier versions. */
export function pageMap({ rounds, pages_total }: MigrationResult): string {
  const each = regionPages(pages_total)
  const perColumn = Math.ceil(rounds.length / columnsMax)
  const columns = Array.from({ length: Math.ceil(rounds.length / perColumn) }, (_, i) =>
    rounds.slice(i * perColumn, (i + 1) * perColumn),
  )
  const places = columns.flatMap((some): Place[] => {
    const [first, last] = [some[0]?.round, some.at(-1)?.round]
    const regions = some[0]?.pages_sent_by_region ?? []
    return regions.map((_, region) => {
      const sent = some.reduce((sum, round) => sum + (round.pages_sent_by_region[region] ?? 0), 0)
      const size = Math.min(each, pages_total - region * each)
      return {
        rounds: first === last ? String(first) : `${first}-${last}`,
        firstPage: region * each,
        sent,
        share: sent / size / some.length,
      }
    })
  })
  if (places.length === 0) return ''
  const names = [...new Set(places.map((place) => place.rounds))]
  const sentPlaces = places.filter(({ sent }) => sent > 0)
  const together = perColumn === 1 ? '' : ` ${perColumn} rounds stand together in a column.`
  return figure({
    id: 'page-map',
    title: 'Page map',
    caption: `Where in memory each round sent pages: a field is ${each} pages, the stronger its colour the more of them were sent (all: full; n = ${sentPlaces.length} fields with a page).${together}`,
    heads: ['round', 'first_page', 'pages', 'pages_sent'],
    rows: sentPlaces.map((place) => [place.rounds, place.firstPage, each, place.sent]),
    plot: (size) => ({
      height: size === 'wide' ? 380 : 320,
      padding: 0.04,
      x: {
        label: 'round',
        type: 'band',
        domain: names,
        ticks: names.filter((_, i) => i % Math.ceil(names.length / (size === 'wide' ? 20 : 8)) === 0),
      },
      y: { label: 'page number', domain: [0, pages_total], grid: true },
      marks: [
        Plot.rect(sentPlaces, {
          x: 'rounds',
          y1: 'firstPage',
          y2: ({ firstPage }: Place) => Math.min(pages_total, firstPage + each),
          fill: 'var(--c0)',
          fillOpacity: ({ share }: Place) => 0.15 + 0.85 * Math.min(1, share),
          title: ({ rounds: some, firstPage, sent }: Place) =>
            `round ${some}, pages from ${number(firstPage)}: ${sent} sent`,
          ariaDescription: 'pages sent',
        }),
        Plot.ruleY([0]),
      ],
    }),
  })
}
