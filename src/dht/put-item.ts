/** Stores an item on nodes that a lookup has found (BEP 44). */

import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { DHT_DHT_PUT_OUT } from '../stats/counter-ids.ts'
import type { TokenNode } from './find-data.ts'
import { Item } from './item.ts'
import type { KrpcMessage } from './krpc.ts'
import type { SignedPut } from './krpc-encode.ts'
import { Observer } from './observer.ts'
import { Traversal } from './traversal.ts'
import type { TraversalNode } from './traversal-port.ts'

/** Called once, at the end. @param responses how many nodes have stored it */
export type PutCallback = (item: Item, responses: number) => void

/** Not a walk: it asks the nodes it is given, and the routers never. */
export class PutItem extends Traversal {
  readonly #callback: PutCallback
  #item = new Item()

  constructor(node: TraversalNode, callback: PutCallback) {
    super(node, new Sha1Hash())
    this.#callback = callback
  }

  override name(): string {
    return 'put_data'
  }

  /** What is stored; without it nothing is sent. Must not change any more. */
  setItem(item: Item): void {
    this.#item = item
  }

  setTargets(nodes: readonly TokenNode[]): void {
    for (const { id, endpoint, token } of nodes) {
      this.append(new Observer(this, endpoint, id, this.node.now(), token))
    }
  }

  override start(): void {
    this.run()
  }

  onReply(observer: Observer, _message: KrpcMessage, _from: Endpoint): void {
    observer.done()
  }

  protected override invoke(observer: Observer): boolean {
    const item = this.#item
    const { encoded } = item
    const { token } = observer
    if (this.isDone || encoded === null || token === null) return false
    const signed: SignedPut | null = item.isMutable
      ? { key: item.publicKey, signature: item.signature, seq: item.seq, salt: item.salt }
      : null
    this.node.counters.inc(DHT_DHT_PUT_OUT)
    return this.node.rpc.invoke({ method: 'put', value: encoded, token, signed }, observer)
  }

  protected override onDone(): void {
    if (this.logs()) this.log(`stored by ${this.numResponses}, timeouts: ${this.numTimeouts}`)
    this.#callback(this.#item, this.numResponses)
  }
}
