/** `pagewire validate` before it needs a lab: what it refuses, and how. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pagewire } from './cli.js'

test('wrong wishes are refused with what is known, before anything is built', async () => {
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['--decide', 'speed'], /goodput, total_time, downtime, pages_sent, outage/],
    [['--claim', 'speed < 3'], /nothing here is called .*goodput/],
    [['--claim', 'tenants p99 < 5 s'], /latency_p99 is in ms/],
    [['--pairs', '0'], /whole number from 1/],
    [['--min-effect', '10'], /write it like 10%/],
    [['--max-time', '8'], /write it like 300ms/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await pagewire(['validate', ...args])
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
    assert.equal(stdout, '')
  }
})
