/** The networks that this machine is on. */

import { networkInterfaces } from 'node:os'
import { isLinkLocal, parseAddress } from '../core/endpoint.ts'
import type { NetworkInterface } from '../core/runtime.ts'
import { internetDevices, isPointToPoint } from './node-routes.ts'

/** Every address of every interface that is up; none where the system does not tell, as on some phones. */
export function nodeInterfaces(): readonly NetworkInterface[] {
  const found: NetworkInterface[] = []
  const routes = internetDevices()
  for (const [name, entries] of Object.entries(systemInterfaces())) {
    for (const entry of entries ?? []) {
      const address = parseAddress(entry.address)
      if (address === null) continue
      const v6 = entry.family === 'IPv6'
      const slash = entry.cidr?.lastIndexOf('/') ?? -1
      // A link-local address means something on its own interface only.
      const zone = v6 && isLinkLocal(address) ? `%${name}` : ''
      const whole = v6 ? 128 : 32
      found.push({
        name,
        address: address + zone,
        prefixLength: slash < 0 ? whole : Number(entry.cidr!.slice(slash + 1)),
        loopback: entry.internal,
        internet: routes === null || routes[v6 ? 'v6' : 'v4'].has(name) || isPointToPoint(name),
      })
    }
  }
  return found
}

function systemInterfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch {
    // asking is not allowed everywhere: then nothing is known
    return {}
  }
}
