/** A program that builds a lab, says so, and waits to be killed. Its argument is the run id. */

import { labUp } from '../../src/topology/lab.js'
import { testSpec } from './support.js'

await labUp(testSpec({ runId: process.argv[2] ?? '' }))
console.log('up')
setTimeout(() => process.exit(1), 60_000)
