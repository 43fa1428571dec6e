import { test } from 'node:test'
import { stordForm, stordSaving } from '../../src/model/closed-forms.js'
import { near } from '../support/model.js'

/** Equation (3) of Cha et al.: sum over i of (R/k)^i (k-1)(k-2)...(k-i+1). */
function equation3(split: number, dirtyRatio: number): number {
  let sum = 0
  for (let i = 1; i <= split; i++) {
    let term = (dirtyRatio / split) ** i
    for (let factor = split - 1; factor > split - i; factor--) term *= factor
    sum += term
  }
  return sum
}

test('the recurrence of the steps is equation (3) of the paper', () => {
  for (let split = 1; split <= 10; split++) {
    for (const ratio of [0.2, 0.5, 0.9]) {
      near(stordForm(split, ratio).residue, equation3(split, ratio), 1e-12, `k=${split}, R=${ratio}`)
    }
  }
})

test('the savings that the paper quotes are those of k = 2 and k = 10', () => {
  near(stordSaving(2, 0.2), 0.056, 0.0005, 'abstract, lower end')
  near(stordSaving(2, 0.9), 0.647, 0.0005, 'abstract, upper end')
  near(stordSaving(10, 0.9), 0.757, 0.0005, 'conclusion')
  near(stordSaving(10, 0.2), 0.098, 0.0005, 'section 3, ratio 0.2')
  near(stordSaving(2, 0.5), 0.182, 0.0005, 'k = 2 at ratio 0.5')
})

test('more pieces save more up to a point only: the limit is 1 + ln(1 - R)(1 - R)/R', () => {
  for (const ratio of [0.2, 0.5, 0.9]) {
    near(stordSaving(20_000, ratio), 1 + (Math.log(1 - ratio) / ratio) * (1 - ratio), 1e-3, `R=${ratio}`)
  }
  near(stordSaving(20, 0.9), 0.761, 0.001, 'the peak at ratio 0.9')
})

test('one piece is pre-copy', () => {
  near(stordSaving(1, 0.9), 0, 1e-12, 'saving')
})
