/** Where to open listen sockets: the entries of `listen_interfaces` on the networks that this machine is on. */

import { isGlobal, isLinkLocal, isLoopback, isUnspecified, isV4, parseAddress, sameNetwork } from '../core/endpoint.ts'
import type { NetworkInterface } from '../core/runtime.ts'
import type { ListenInterface } from './listen-interfaces.ts'

/** One socket to open. */
export interface ListenEndpoint {
  readonly address: string
  /** 0 lets the system choose. */
  readonly port: number
  /** The network device that has the address, as far as known. */
  readonly device: string
  readonly ssl: boolean
  /** Reaches its own network only: not announced to trackers elsewhere. */
  readonly localNetwork: boolean
  /** The user has named a device, or all addresses, not this one. */
  readonly expanded: boolean
  /** Bits of the address that its network has in common; 0 if that is not known. */
  readonly prefixLength: number
}

/**
 * A socket for each address that is meant.
 *
 * `0.0.0.0` and `::` stand for every address of their family: who is on several networks is a node of its own on each
 * (BEP 45). They stay as they are only where the system tells of no networks at all.
 */
export function listenEndpoints(
  entries: readonly ListenInterface[],
  networks: readonly NetworkInterface[],
): ListenEndpoint[] {
  const named: ListenEndpoint[] = []
  const open: ListenInterface[] = []
  for (const entry of entries) {
    const address = parseAddress(entry.device)
    if (address !== null && isUnspecified(address) && networks.length > 0) open.push({ ...entry, device: address })
    else if (address !== null) named.push(endpoint(entry, address, '', entry.local, false))
    else {
      for (const { name, address } of networks) {
        if (name !== entry.device) continue
        named.push(endpoint(entry, address, name, entry.local || isLoopback(address) || isLinkLocal(address), true))
      }
    }
  }
  const found = named.filter((a, i) => a.port === 0 || named.findIndex(b => isSameSocket(a, b)) === i)
  for (const entry of open) {
    for (const network of networks) {
      if (isV4(network.address) !== isV4(entry.device)) continue
      const one = endpoint(entry, network.address, '', entry.local || isLocalNetwork(network), true)
      if (!found.some(other => isSameSocket(one, other))) found.push(one)
    }
  }
  return found.map(each => onNetwork(each, networks))
}

function endpoint(
  entry: ListenInterface,
  address: string,
  device: string,
  localNetwork: boolean,
  expanded: boolean,
): ListenEndpoint {
  return { address, port: entry.port, device, ssl: entry.ssl, localNetwork, expanded, prefixLength: 0 }
}

function isSameSocket(a: ListenEndpoint, b: ListenEndpoint): boolean {
  return a.address === b.address && a.port === b.port && a.ssl === b.ssl
}

function isLocalNetwork({ address, loopback, internet }: NetworkInterface): boolean {
  return loopback || isLoopback(address) || isLinkLocal(address) || (!isGlobal(address) && !internet)
}

/** Fills in the network that the address is of. */
function onNetwork(at: ListenEndpoint, networks: readonly NetworkInterface[]): ListenEndpoint {
  const fits = ({ name, address, prefixLength }: NetworkInterface) =>
    (at.device === '' || at.device === name) && sameNetwork(address, at.address, prefixLength)
  // networks may overlap: the one that has the very address goes first
  const network = networks.find(each => each.address === at.address && fits(each)) ?? networks.find(fits)
  return network === undefined ? at : { ...at, device: network.name, prefixLength: network.prefixLength }
}
