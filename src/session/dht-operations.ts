/** What users ask of the DHT: lookups and puts, answered by alerts. Nothing happens while it does not run. */

import type { AlertQueue } from '../alert/alert-queue.ts'
import {
  DhtDirectResponseAlert,
  DhtGetPeersReplyAlert,
  DhtImmutableItemAlert,
  DhtLiveNodesAlert,
  DhtMutableItemAlert,
  DhtPutAlert,
  DhtSampleInfohashesAlert,
  DhtStatsAlert,
} from '../alert/dht-alerts.ts'
import { bdecodeNode } from '../bencode/bdecode.ts'
import { bencode } from '../bencode/bencode.ts'
import type { Entry } from '../bencode/entry.ts'
import { printEntry } from '../bencode/print-entry.ts'
import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { DhtNode } from '../dht/dht-node.ts'
import type { DhtTracker } from '../dht/dht-tracker.ts'
import { Item, MAX_ITEM_SIZE, SIGNATURE_SIZE } from '../dht/item.ts'

/** A mutable item that is about to be stored. */
export interface MutableItemData {
  /** What is stored; `null` if there is nothing yet. */
  value: Entry | null
  /** Signature of value, salt and version, 64 bytes. @see BEP 44 */
  signature: Uint8Array
  /** Version: with a smaller one than there is, the item is not replaced. */
  seq: number
  readonly salt: Uint8Array
}

/** What the operations need of the session. */
export interface DhtOperationsPort {
  readonly alerts: AlertQueue
  /** `null` while there is no DHT. */
  tracker(): DhtTracker | null
  /** Runs `fn` after the turn, outside of the engine. */
  defer(fn: () => void): void
}

const NO_TARGET = new Sha1Hash()
const NO_KEY = new Uint8Array(32)
const NO_SIGNATURE = new Uint8Array(64)
const NO_BYTES = new Uint8Array(0)
const NO_ENDPOINT: Endpoint = ['0.0.0.0', 0]

export class DhtOperations {
  readonly #port: DhtOperationsPort

  constructor(port: DhtOperationsPort) {
    this.#port = port
  }

  /** Ends with a `DhtImmutableItemAlert`. */
  getImmutableItem(target: Sha1Hash): void {
    const { alerts } = this.#port
    this.#tracker?.getImmutableItem(target, item =>
      alerts.post(new DhtImmutableItemAlert(target, item.value, describeEntry)),
    )
  }

  /** Brings `DhtMutableItemAlert`s, the last one authoritative. */
  getMutableItem(key: Uint8Array, salt: Uint8Array): void {
    const { alerts } = this.#port
    this.#tracker?.getMutableItem(key, salt, ({ publicKey, signature, seq, value, salt: ownSalt }, authoritative) => {
      const version = Number(seq)
      alerts.post(new DhtMutableItemAlert(publicKey, signature, version, ownSalt, value, authoritative, describeEntry))
    })
  }

  /** Ends with a `DhtPutAlert`. @returns where the item is stored @throws RangeError if it is too large */
  putImmutableItem(data: Entry): Sha1Hash {
    const { alerts } = this.#port
    const item = Item.ofValue(data)
    const target = item.target()
    this.#tracker?.putImmutableItem(item, responses => {
      if (!alerts.wants(DhtPutAlert)) return
      alerts.post(new DhtPutAlert(target, NO_KEY, NO_SIGNATURE, NO_BYTES, 0, responses))
    })
    return target
  }

  /**
   * Stores bytes as the next version of an item. Ends with a `DhtPutAlert`.
   *
   * @param privateKey 64 bytes, see `ed25519CreateKeypair`
   */
  putSigned(privateKey: Uint8Array, publicKey: Uint8Array, data: Uint8Array, salt: Uint8Array): void {
    this.#putMutable(publicKey, salt, item => {
      const { seq } = item
      const next = typeof seq === 'number' && seq < Number.MAX_SAFE_INTEGER ? seq + 1 : BigInt(seq) + 1n
      item.sign(data, item.salt, next, item.publicKey, privateKey)
    })
  }

  /**
   * Has the user's function make the next version. Ends with a `DhtPutAlert`.
   *
   * What the function throws surfaces as the program's own error; nothing is stored then.
   */
  putChanged(publicKey: Uint8Array, change: (item: MutableItemData) => void, salt: Uint8Array): void {
    this.#putMutable(publicKey, salt, item => {
      try {
        applyChange(item, change)
      } catch (error) {
        item.clear()
        this.#port.defer(() => {
          throw error
        })
      }
    })
  }

  #putMutable(key: Uint8Array, salt: Uint8Array, change: (item: Item) => void): void {
    const { alerts } = this.#port
    this.#tracker?.putMutableItem(key, salt, change, ({ publicKey, signature, seq, salt: ownSalt }, responses) => {
      if (!alerts.wants(DhtPutAlert)) return
      alerts.post(new DhtPutAlert(NO_TARGET, publicKey, signature, ownSalt, Number(seq), responses))
    })
  }

  /** Brings a `DhtGetPeersReplyAlert` for each node that knows some. */
  getPeers(infoHash: Sha1Hash): void {
    this.#tracker?.getPeers(infoHash, peers => this.#peersFound(infoHash, peers))
  }

  /** As `getPeers`, and announces that we are one of them. @param flags `AnnounceFlags` */
  announce(infoHash: Sha1Hash, port: number, flags: number): void {
    this.#tracker?.announce(infoHash, port, flags, peers => this.#peersFound(infoHash, peers))
  }

  #peersFound(infoHash: Sha1Hash, peers: readonly Endpoint[]): void {
    const { alerts } = this.#port
    if (alerts.wants(DhtGetPeersReplyAlert)) alerts.post(new DhtGetPeersReplyAlert(infoHash, peers))
  }

  /** Posts a `DhtLiveNodesAlert`. */
  liveNodes(nid: Sha1Hash): void {
    const tracker = this.#tracker
    if (tracker !== null) this.#port.alerts.post(new DhtLiveNodesAlert(nid, tracker.liveNodes(nid) ?? []))
  }

  /** Ends with a `DhtSampleInfohashesAlert`, if the node answers. */
  sampleInfohashes(to: Endpoint, target: Sha1Hash): void {
    const { alerts } = this.#port
    this.#nodeFor(to)?.sampleInfohashes(to, target, ({ id, interval, num, samples, nodes }) =>
      alerts.post(new DhtSampleInfohashesAlert(id, to, interval, num, samples, nodes)),
    )
  }

  /** Ends with a `DhtDirectResponseAlert`. */
  directRequest(to: Endpoint, entry: { readonly [key: string]: Entry }, userdata: unknown): void {
    const { alerts } = this.#port
    this.#nodeFor(to)?.directRequest(to, entry, message =>
      alerts.post(new DhtDirectResponseAlert(userdata, to, message?.toNode() ?? null)),
    )
  }

  /** Posts one `DhtStatsAlert` for each of our nodes; an empty one if there is none. */
  postStats(): void {
    const { alerts } = this.#port
    const status = this.#tracker?.status() ?? []
    if (status.length === 0) alerts.post(new DhtStatsAlert([], [], NO_TARGET, NO_ENDPOINT))
    for (const { table, requests, ourId, localEndpoint } of status) {
      alerts.post(new DhtStatsAlert(table, requests, ourId, localEndpoint))
    }
  }

  get #tracker(): DhtTracker | null {
    return this.#port.tracker()
  }

  #nodeFor(to: Endpoint): DhtNode | null {
    return this.#tracker?.nodeFor(to) ?? null
  }
}

/** @throws what `change` or `bencode` throws, RangeError if the value is too large, or the version or signature is none */
function applyChange(item: Item, change: (item: MutableItemData) => void): void {
  const { publicKey, salt, value, signature, seq } = item
  const data: MutableItemData = { value, signature: signature.slice(), seq: Number(seq), salt }
  change(data)
  if (data.value === null) return
  if (!Number.isInteger(data.seq) || data.seq < 0) throw new RangeError(`dhtPutItem: ${data.seq} is not a version`)
  if (data.signature.length !== SIGNATURE_SIZE) {
    throw new RangeError(`dhtPutItem: expected a signature of ${SIGNATURE_SIZE} bytes, not ${data.signature.length}`)
  }
  const encoded = bencode(data.value)
  if (encoded.length > MAX_ITEM_SIZE) throw new RangeError(`dhtPutItem: more than ${MAX_ITEM_SIZE} bytes`)
  // beyond 2^53 a number's digits are not its value's
  const next = Number.isSafeInteger(data.seq) ? data.seq : BigInt(data.seq)
  item.setMutable(encoded, salt, next, publicKey, data.signature)
}

function describeEntry(item: Entry): string {
  return printEntry(bdecodeNode(bencode(item)), true)
}
