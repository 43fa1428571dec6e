/**
 * The networks of a guest that moves from one to another, and the tunnel that carries its old address after it. The
 * only door to netns-scripts/guest-networks.sh and tunnel.sh.
 */

import { output } from './command.js'
import type { Lab } from './lab.js'
import { netnsScript } from './requirements.js'
import { guestCard, guestNetworks } from './spec.js'

/** Makes both networks in a lab that is up, and an unused tunnel; returns what the tunnel is, `ipip` or `vxlan`. */
export async function guestNetworksUp({ spec }: Lab): Promise<string> {
  return (await output([netnsScript('guest-networks.sh'), spec.runId, guestCard.mac, spec.dataplane])).trim()
}

/** From now on the old host sends what comes for the guest's old address through the tunnel. */
export async function switchTunnel(lab: Lab): Promise<void> {
  await output([netnsScript('tunnel.sh'), 'switch', lab.namespace('source'), guestNetworks.oldAddress])
}
