/** What algebra says of a migration, where it says anything: the models of Cha et al. under a constant dirty ratio. */

/** Cha et al. equation (1) for unlimited rounds: pre-copy sends V / (1 - R). In multiples of memory; R is 0..1, not 1. */
export function preCopyTotal(dirtyRatio: number): number {
  return 1 / (1 - dirtyRatio)
}

export interface StordForm {
  /** Memory that one pass over k pieces sends, in multiples of what it began with. */
  readonly sent: number
  /** What is dirty after the pass: equation (3). */
  readonly residue: number
  /** Memory sent in all, in multiples of the guest's. */
  readonly total: number
}

/**
 * STORD with k pieces: step j sends X_j = 1/k + R (j-1)/k X_(j-1), since a share (j-1)/k of what step j-1 dirtied lies
 * in pieces already sent. The residue R X_k expands to equation (3) of the paper. Its equation (4) counts only one
 * step of a pass; with the sum of the steps in its place the paper's figures follow.
 */
export function stordForm(split: number, dirtyRatio: number): StordForm {
  let step = 0
  let sent = 0
  for (let j = 1; j <= split; j++) {
    step = 1 / split + dirtyRatio * ((j - 1) / split) * step
    sent += step
  }
  const residue = dirtyRatio * step
  return { sent, residue, total: sent / (1 - residue) }
}

/** Share of pre-copy's total time that STORD saves. */
export function stordSaving(split: number, dirtyRatio: number): number {
  return 1 - stordForm(split, dirtyRatio).total / preCopyTotal(dirtyRatio)
}
