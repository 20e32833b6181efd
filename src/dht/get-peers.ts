/** Lookup of the peers of a swarm (BEP 5), openly or hiding which swarm it is. */

import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { DHT_DHT_GET_PEERS_OUT } from '../stats/counter-ids.ts'
import { FindData, type NodesCallback } from './find-data.ts'
import type { KrpcMessage } from './krpc.ts'
import { distanceExp, generatePrefixMask, generateRandomId } from './node-id.ts'
import { readPeers } from './node-list.ts'
import { type Observer, ObserverFlag } from './observer.ts'
import type { TraversalNode } from './traversal-port.ts'

/** Called with the peers of each node that knows some; not again once the lookup is forgotten. */
export type PeersCallback = (peers: readonly Endpoint[]) => void

/** Bits beyond those that a node and the target share that the node is told. */
const EXTRA_BITS = 3
/** Nodes that the open lookup begins with. */
const MAX_HANDED_ON = 16

export class GetPeers extends FindData {
  protected peersCallback: PeersCallback | null
  protected readonly noseeds: boolean

  /** @param noseeds asks for peers that are no seeds */
  constructor(
    node: TraversalNode,
    target: Sha1Hash,
    peersCallback: PeersCallback | null,
    nodesCallback: NodesCallback | null,
    noseeds: boolean,
  ) {
    super(node, target, nodesCallback)
    this.peersCallback = peersCallback
    this.noseeds = noseeds
  }

  override name(): string {
    return 'get_peers'
  }

  override onReply(observer: Observer, message: KrpcMessage, from: Endpoint): void {
    const peers = readPeers(message, from)
    if (peers !== null) {
      if (this.logs()) this.log(`${peers.length} peers from ${observer.id}`)
      this.peersCallback?.(peers)
    }
    super.onReply(observer, message, from)
  }

  protected override invoke(observer: Observer): boolean {
    return this.ask(observer, this.target, this.noseeds)
  }

  protected ask(observer: Observer, infoHash: Sha1Hash, noseed: boolean): boolean {
    this.node.outgoingGetPeers(this.target, infoHash, observer.endpoint)
    this.node.counters.inc(DHT_DHT_GET_PEERS_OUT)
    return this.node.rpc.invoke({ method: 'get_peers', infoHash, noseed, bootstrap: false }, observer)
  }
}

/** The open part of a lookup that hides its target: nobody is asked but the nodes it is given. */
class OpenGetPeers extends GetPeers {
  protected override addMore(): void {}
}

/**
 * Asks each node for a made-up info-hash that is as close to it as the real one, so that nodes on the way do not learn
 * what is looked for. Once the closest nodes are known, a {@link GetPeers} asks those. (`dht_privacy_lookups`)
 */
export class ObfuscatedGetPeers extends GetPeers {
  override name(): string {
    return 'get_peers [obfuscated]'
  }

  override onReply(observer: Observer, message: KrpcMessage, _from: Endpoint): void {
    this.takeNodes(observer, message)
    observer.done()
  }

  protected override invoke(observer: Observer): boolean {
    const sharedBits = 160 - distanceExp(observer.id, this.target)
    const mask = generatePrefixMask(Math.min(160, sharedBits + EXTRA_BITS)).view()
    const target = this.target.view()
    const sent = generateRandomId(this.node.rng).toBytes()
    for (let i = 0; i < sent.length; i++) sent[i] = (sent[i]! & ~mask[i]!) | (target[i]! & mask[i]!)
    return this.ask(observer, new Sha1Hash(sent), false)
  }

  protected override onDone(): void {
    const open = new OpenGetPeers(this.node, this.target, this.peersCallback, this.nodesCallback, this.noseeds)
    // they are for the open lookup to call
    this.peersCallback = null
    this.nodesCallback = null
    if (this.logs()) this.log(`obfuscated part done, going on as [${open.searchId}]`)
    let handedOn = 0
    for (const observer of this.results) {
      if (handedOn >= MAX_HANDED_ON) break
      if (observer.has(ObserverFlag.noId) || !observer.has(ObserverFlag.alive)) continue
      open.addEntry(observer.id, observer.endpoint, ObserverFlag.initial)
      handedOn++
    }
    open.start()
    super.onDone()
  }
}
