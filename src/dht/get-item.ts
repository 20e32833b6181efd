/** Lookup of a stored item (BEP 44). */

import { TOKEN_INTEGER, TOKEN_STRING } from '../bencode/token-table.ts'
import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { DHT_DHT_GET_OUT } from '../stats/counter-ids.ts'
import { FindData, type NodesCallback } from './find-data.ts'
import {
  Item,
  itemTargetId,
  mutableItemTargetId,
  PUBLIC_KEY_SIZE,
  type SequenceNumber,
  SIGNATURE_SIZE,
} from './item.ts'
import type { KrpcMessage } from './krpc.ts'
import type { Observer } from './observer.ts'
import type { TraversalNode } from './traversal-port.ts'

/**
 * Called with an immutable item as soon as it is found, with a mutable one for each newer version, and once more at the end
 * with the newest; if nothing was found only at the end, with an empty item.
 *
 * @param item          must not be changed; it may hold a newer version later
 * @param authoritative nothing more comes
 */
export type ItemCallback = (item: Item, authoritative: boolean) => void

export class GetItem extends FindData {
  readonly #item: Item
  readonly #itemCallback: ItemCallback | null

  /**
   * Use `GetItem.immutable` or `GetItem.mutable`.
   *
   * @param item mutable and with its key, or immutable; empty
   */
  constructor(
    node: TraversalNode,
    target: Sha1Hash,
    item: Item,
    itemCallback: ItemCallback | null,
    nodesCallback: NodesCallback | null,
  ) {
    super(node, target, nodesCallback)
    this.#item = item
    this.#itemCallback = itemCallback
  }

  /** @param itemCallback `null` if only the nodes are wanted, to put the item there */
  static immutable(
    node: TraversalNode,
    target: Sha1Hash,
    itemCallback: ItemCallback | null,
    nodesCallback: NodesCallback | null,
  ): GetItem {
    return new GetItem(node, target, new Item(), itemCallback, nodesCallback)
  }

  /** @param publicKey 32 bytes @param salt empty for none */
  static mutable(
    node: TraversalNode,
    publicKey: Uint8Array,
    salt: Uint8Array,
    itemCallback: ItemCallback,
    nodesCallback: NodesCallback | null,
  ): GetItem {
    const item = Item.ofKey(publicKey, salt)
    return new GetItem(node, item.target(), item, itemCallback, nodesCallback)
  }

  override name(): string {
    return 'get'
  }

  override onReply(observer: Observer, message: KrpcMessage, from: Endpoint): void {
    const { table, responseToken } = message
    const key = table.findKind(responseToken, 'k', TOKEN_STRING)
    const signature = table.findKind(responseToken, 'sig', TOKEN_STRING)
    const seq = table.findKind(responseToken, 'seq', TOKEN_INTEGER)
    // what is signed has a version
    if (seq < 0 && key >= 0 && signature >= 0) {
      observer.timeout()
      return
    }
    const value = table.find(responseToken, 'v')
    // once it is over, an answer that comes late changes nothing any more
    if (value >= 0 && this.#itemCallback !== null && !this.isDone) {
      const encoded = table.buffer.subarray(table.offset(value), table.end(value))
      if (this.#item.isMutable) {
        if (key >= 0 && signature >= 0 && seq >= 0) {
          this.#gotMutable(encoded, exact(table.bigInt(seq)), table.string(key), table.string(signature))
        }
      } else this.#gotImmutable(encoded)
    }
    super.onReply(observer, message, from)
  }

  protected override invoke(observer: Observer): boolean {
    if (this.isDone) return false
    this.node.counters.inc(DHT_DHT_GET_OUT)
    return this.node.rpc.invoke({ method: 'get', target: this.target }, observer)
  }

  protected override onDone(): void {
    // everybody has been heard now, so this is the newest version there is; an immutable item was told of when it came
    if (this.#item.isMutable || this.#item.isEmpty) this.#itemCallback?.(this.#item, true)
    super.onDone()
  }

  #gotImmutable(encoded: Uint8Array): void {
    if (!this.#item.isEmpty || !itemTargetId(encoded).equals(this.target)) return
    this.#item.setImmutable(encoded)
    // there is no other value with this hash: no need to ask anybody else
    this.#itemCallback?.(this.#item, true)
    this.done()
  }

  #gotMutable(encoded: Uint8Array, seq: SequenceNumber, key: Uint8Array, signature: Uint8Array): void {
    if (key.length !== PUBLIC_KEY_SIZE || signature.length !== SIGNATURE_SIZE) return
    const { salt } = this.#item
    if (!mutableItemTargetId(salt, key).equals(this.target)) return
    if (!this.#item.isEmpty && this.#item.seq >= seq) return
    if (this.#item.setVerified(encoded, salt, seq, key, signature)) this.#itemCallback?.(this.#item, false)
  }
}

function exact(value: bigint): SequenceNumber {
  const rounded = Number(value)
  return Number.isSafeInteger(rounded) ? rounded : value
}
