/** The hosts of a lab as cross-traffic sees them. */

import type { TrafficHost } from '../agent/traffic/cross-traffic.js'
import type { Lab } from '../topology/lab.js'
import { hostDevice, vlanIds } from '../topology/spec.js'

const names = ['source', 'neighbour', 'destination'] as const

/** `mtuBytes`: of the lab's link. */
export function trafficHosts(
  lab: Lab,
  mtuBytes: number,
): Readonly<Record<(typeof names)[number], TrafficHost>> {
  const host = (name: (typeof names)[number]): TrafficHost => ({
    inside: lab.inside(name),
    address: lab.address(name, 'tenants'),
    card: { device: hostDevice, mac: lab.mac(name), mtuBytes, vlan: vlanIds.tenants },
  })
  return { source: host('source'), neighbour: host('neighbour'), destination: host('destination') }
}
