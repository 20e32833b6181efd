/** Lookup of our own neighbourhood, which fills the routing table (BEP 5). */

import type { Sha1Hash } from '../core/digest.ts'
import { DHT_DHT_GET_PEERS_OUT } from '../stats/counter-ids.ts'
import type { NodesCallback } from './find-data.ts'
import { GetPeers } from './get-peers.ts'
import { type Observer, ObserverFlag } from './observer.ts'
import type { TraversalNode } from './traversal-port.ts'

/**
 * Asks for peers of an id next to ours, and pings what it found but did not get to ask.
 *
 * `get_peers` brings nodes as `find_node` does.
 */
export class Bootstrap extends GetPeers {
  /** @param target our id, marked by `SecretIds` */
  constructor(node: TraversalNode, target: Sha1Hash, doneCallback: NodesCallback | null) {
    super(node, target, null, doneCallback, false)
  }

  override name(): string {
    return 'bootstrap'
  }

  protected override invoke(observer: Observer): boolean {
    this.node.counters.inc(DHT_DHT_GET_PEERS_OUT)
    // our id may have changed since the start, so it is not the target that is asked for
    const infoHash = this.node.secretIds.mark(this.node.nid)
    const bootstrap = observer.has(ObserverFlag.initial)
    return this.node.rpc.invoke({ method: 'get_peers', infoHash, noseed: false, bootstrap }, observer)
  }

  protected override onDone(): void {
    for (const observer of this.results) {
      if (!observer.has(ObserverFlag.queried)) this.node.addNode(observer.endpoint)
    }
    super.onDone()
  }
}
