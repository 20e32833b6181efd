/** Asks one node for a sample of the info-hashes it has peers for (BEP 51). */

import type { DhtNode } from '../alert/dht-alerts.ts'
import { TOKEN_STRING } from '../bencode/token-table.ts'
import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { DHT_DHT_SAMPLE_INFOHASHES_OUT } from '../stats/counter-ids.ts'
import type { KrpcMessage } from './krpc.ts'
import { forEachNode } from './node-list.ts'
import { type Observer, ObserverFlag } from './observer.ts'
import { SingleQuery } from './single-query.ts'
import type { TraversalNode } from './traversal-port.ts'

/** The longest a node may ask us to wait, in seconds. */
const MAX_INTERVAL = 21_600
const MAX_NUM = 0x7fffffff
const HASH = 20

export interface Samples {
  /** The node's id. */
  readonly id: Sha1Hash
  /** Seconds to wait before asking it again, 0 to 21600. */
  readonly interval: number
  /** Info-hashes it knows in all. */
  readonly num: number
  readonly samples: readonly Sha1Hash[]
  /** Nodes to ask next. */
  readonly nodes: readonly DhtNode[]
}

/** Called once, and only if the node answers as it should. */
export type SamplesCallback = (samples: Samples) => void

export class SampleInfohashes extends SingleQuery {
  readonly #callback: SamplesCallback

  constructor(node: TraversalNode, callback: SamplesCallback) {
    super(node)
    this.#callback = callback
  }

  /** @param target which nodes to tell of: those close to it */
  ask(endpoint: Endpoint, target: Sha1Hash): boolean {
    this.node.counters.inc(DHT_DHT_SAMPLE_INFOHASHES_OUT)
    return this.send({ method: 'sample_infohashes', target }, endpoint, new Sha1Hash())
  }

  override onReply(observer: Observer, message: KrpcMessage, _from: Endpoint): void {
    const samples = this.#read(message)
    if (samples === null) {
      observer.timeout()
      return
    }
    observer.flags |= ObserverFlag.done
    this.#callback(samples)
  }

  #read(message: KrpcMessage): Samples | null {
    const id = message.senderId()
    if (id === null) return null
    const { table, responseToken } = message
    const interval = table.findInt(responseToken, 'interval', -1)
    const num = table.findInt(responseToken, 'num', -1)
    if (interval < 0 || interval > MAX_INTERVAL || num < 0 || num > MAX_NUM) return null
    const token = table.findKind(responseToken, 'samples', TOKEN_STRING)
    if (token < 0 || table.stringLength(token) % HASH !== 0) return null
    const bytes = table.string(token)
    const samples: Sha1Hash[] = []
    for (let at = 0; at < bytes.length; at += HASH) samples.push(new Sha1Hash(bytes.subarray(at, at + HASH)))
    const nodes: DhtNode[] = []
    forEachNode(message, this.node.nodesKey, this.node.family, (nid, endpoint) => nodes.push({ nid, endpoint }))
    return { id, interval, num, samples, nodes }
  }
}
