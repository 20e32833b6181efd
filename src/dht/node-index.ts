/** The nodes of a routing table by their address: each packet that comes in asks for one. */

import type { Endpoint } from '../core/endpoint.ts'
import type { NodeEntry } from './node-entry.ts'

export class NodeIndex {
  /** Lists are short: one node an address, unless `dht_restrict_routing_ips` is off. */
  readonly #byAddress = new Map<string, NodeEntry[]>()

  hasAddress(address: string): boolean {
    return this.#byAddress.has(address)
  }

  /** The node at an endpoint, `null` if there is none. */
  find(endpoint: Endpoint): NodeEntry | null {
    const nodes = this.#byAddress.get(endpoint[0])
    if (nodes === undefined) return null
    for (let i = 0; i < nodes.length; i++) if (nodes[i]!.endpoint[1] === endpoint[1]) return nodes[i]!
    return null
  }

  has(node: NodeEntry): boolean {
    return this.#byAddress.get(node.address)?.includes(node) === true
  }

  add(node: NodeEntry): void {
    const nodes = this.#byAddress.get(node.address)
    if (nodes === undefined) this.#byAddress.set(node.address, [node])
    else nodes.push(node)
  }

  /** @param node must be here */
  remove(node: NodeEntry): void {
    const nodes = this.#byAddress.get(node.address)!
    if (nodes.length === 1) this.#byAddress.delete(node.address)
    else nodes.splice(nodes.indexOf(node), 1)
  }

  clear(): void {
    this.#byAddress.clear()
  }

  /** How many nodes there are. */
  count(): number {
    let count = 0
    for (const nodes of this.#byAddress.values()) count += nodes.length
    return count
  }
}
