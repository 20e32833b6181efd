/** Queries to one node that belong to no lookup: pings and refreshes, announces, queries of the user's own. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { KrpcMessage } from './krpc.ts'
import type { KrpcQuery } from './krpc-encode.ts'
import { forEachNode } from './node-list.ts'
import { type Asker, Observer, ObserverFlag } from './observer.ts'
import type { TraversalNode } from './traversal-port.ts'

/** A query whose answer says nothing but that the node is alive, such as an announce. */
export class SingleQuery implements Asker {
  readonly searchId: number
  protected readonly node: TraversalNode

  constructor(node: TraversalNode) {
    this.node = node
    this.searchId = node.searchId()
  }

  /**
   * Sends it; may be called for several nodes.
   *
   * @param id all zeros if it is not known
   * @returns false if it could not be sent: nothing comes of it then
   */
  send(query: KrpcQuery, endpoint: Endpoint, id: Sha1Hash): boolean {
    const observer = new Observer(this, endpoint, id, this.node.now())
    observer.flags |= ObserverFlag.queried
    return this.node.rpc.invoke(query, observer)
  }

  onReply(observer: Observer, _message: KrpcMessage, _from: Endpoint): void {
    observer.flags |= ObserverFlag.done
  }

  finished(): void {}

  /** As long as a late answer does not come, this is called at each tick: a silent node counts as failed each time. */
  failed(observer: Observer, _short: boolean): void {
    this.node.table.nodeFailed(observer.id, observer.endpoint)
  }

  resort(): void {}

  abort(): void {}
}

/** A ping or the refresh of a bucket: what nodes the answer tells of may get into the table. */
export class RefreshQuery extends SingleQuery {
  override onReply(observer: Observer, message: KrpcMessage, _from: Endpoint): void {
    observer.flags |= ObserverFlag.done
    const { nodesKey, family, table } = this.node
    forEachNode(message, nodesKey, family, (id, endpoint) => table.heardAbout(id, endpoint))
  }
}

/** Called once with the response, borrowed; `null` if there was none, or an error. */
export type ResponseCallback = (message: KrpcMessage | null, from: Endpoint) => void

/** A query of the user's own. */
export class DirectRequest extends SingleQuery {
  #callback: ResponseCallback | null

  constructor(node: TraversalNode, callback: ResponseCallback) {
    super(node)
    this.#callback = callback
  }

  override onReply(observer: Observer, message: KrpcMessage, from: Endpoint): void {
    observer.flags |= ObserverFlag.done
    this.#answer(message, from)
  }

  override failed(observer: Observer, short: boolean): void {
    if (!short) this.#answer(null, observer.endpoint)
  }

  #answer(message: KrpcMessage | null, from: Endpoint): void {
    const callback = this.#callback
    this.#callback = null
    callback?.(message, from)
  }
}
