/** A lookup that ends with the closest nodes and the tokens they gave for writing to them. */

import { TOKEN_STRING } from '../bencode/token-table.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { KrpcMessage } from './krpc.ts'
import { type Observer, ObserverFlag } from './observer.ts'
import { Traversal } from './traversal.ts'
import type { TraversalNode } from './traversal-port.ts'

/** A node that may be written to. */
export interface TokenNode {
  readonly id: Sha1Hash
  readonly endpoint: Endpoint
  /** Shown to it with the announce or put. */
  readonly token: Uint8Array
}

/** Called once, at the end of a lookup: up to a bucket of nodes, and up to one of those that can be trusted more, the closest first. */
export type NodesCallback = (nodes: readonly TokenNode[]) => void

export abstract class FindData extends Traversal {
  protected nodesCallback: NodesCallback | null
  readonly #tokens = new Map<string, Uint8Array>()

  constructor(node: TraversalNode, target: Sha1Hash, nodesCallback: NodesCallback | null) {
    super(node, target)
    this.nodesCallback = nodesCallback
  }

  override start(): void {
    if (this.results.length === 0) {
      // nodes that have failed before are better than none
      for (const entry of this.node.table.findNode(this.target, this.node.table.bucketSize, true)) {
        this.addEntry(entry.id, entry.endpoint, ObserverFlag.initial)
      }
    }
    super.start()
  }

  protected override addMore(round: number): void {
    for (const entry of this.node.table.findNode(this.target, this.node.table.bucketSize * (1 + 2 * round), true)) {
      this.addEntry(entry.id, entry.endpoint, ObserverFlag.initial)
    }
  }

  onReply(observer: Observer, message: KrpcMessage, _from: Endpoint): void {
    const id = message.senderId()
    if (id === null) {
      observer.timeout()
      return
    }
    const { table, responseToken } = message
    const token = table.findKind(responseToken, 'token', TOKEN_STRING)
    if (token >= 0) this.#tokens.set(id.key(), table.string(token).slice())
    this.takeNodes(observer, message)
    observer.done()
  }

  protected override onDone(): void {
    const nodes: TokenNode[] = []
    const { bucketSize } = this.node.table
    let any = 0
    let verified = this.node.settings.dhtPreferVerifiedNodeIds ? 0 : bucketSize
    for (const observer of this.results) {
      const token = this.#tokens.get(observer.id.key())
      if (token === undefined || !observer.has(ObserverFlag.alive)) continue
      const isVerified = verified < bucketSize && observer.verified && observer.has(ObserverFlag.credible)
      if (any >= bucketSize && !isVerified) continue
      any++
      if (isVerified) verified++
      nodes.push({ id: observer.id, endpoint: observer.endpoint, token })
    }
    this.nodesCallback?.(nodes)
  }
}
