/** What happened, in order: one entry an intent and one a view, with small numbers instead of sets. */

export type JournalEntry =
  | {
      readonly at_ns: number
      readonly event: 'begin'
      readonly strategy: string
      readonly pages_total: number
    }
  | {
      readonly at_ns: number
      readonly event: 'intent'
      readonly do: string
      readonly round: number
      readonly pages?: number
      readonly lanes?: readonly string[]
      readonly detail?: string | number
    }
  | {
      readonly at_ns: number
      readonly event: 'view'
      readonly phase: string
      readonly round: number
      readonly unsent_pages: number
      readonly redirtied_pages: number
      readonly sent_pages: number
      readonly last_copy_goodput_mbps: number
    }
  | {
      readonly at_ns: number
      readonly event: 'end'
      readonly outcome: string
      readonly reason?: string
    }

export interface Journal {
  record(entry: JournalEntry): void
}

export const silentJournal: Journal = { record: () => {} }
