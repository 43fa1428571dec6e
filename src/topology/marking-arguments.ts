/**
 * Prints numbers of the default marking table for the shell scripts, so that PCPs are written in src/marking alone:
 * `pcp-by-dscp` (64 numbers) or `service-order` (8 numbers, queue served first to last).
 */

import { defaultTable, pcpByDscp, pcpServiceOrder } from '../marking/traffic-class.js'

const wanted = process.argv[2]
if (wanted === 'pcp-by-dscp') console.log([...pcpByDscp(defaultTable)].join(' '))
else if (wanted === 'service-order') console.log(pcpServiceOrder.join(' '))
else {
  console.error('usage: marking-arguments.js pcp-by-dscp | service-order')
  process.exitCode = 2
}
