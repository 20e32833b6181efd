/** The DHT, as programs use it: a part of every session. */

import type { Entry } from '../bencode/entry.ts'
import { copyBytes, textToBytes } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isPort, parseAddress } from '../core/endpoint.ts'
import type { AnnounceFlags } from '../core/enums.ts'
import type { DhtState } from '../dht/dht-state.ts'
import type { DhtStorageConstructor } from '../dht/storage.ts'
import type { DhtOperations, MutableItemData } from './dht-operations.ts'
import type { Engine } from './engine.ts'

/** Nothing here has an effect while the DHT does not run: see `isDhtRunning()`. */
export class SessionDht {
  /** @internal */
  readonly engine: Engine

  /** @internal */
  constructor(engine: Engine) {
    this.engine = engine
  }

  /** The DHT is switched on (`enable_dht`), and has started. */
  isDhtRunning(): boolean {
    return this.engine.dht.isRunning
  }

  /**
   * Tells the DHT of a node; it is used if it answers.
   *
   * @param node host name or address, and UDP port
   * @throws RangeError for a port that is none
   */
  addDhtNode(node: readonly [host: string, port: number]): void {
    checkPort('addDhtNode', node[1], 1)
    this.engine.turn.call(() => this.engine.dht.addNodeName(node[0], node[1]))
  }

  /** What the DHT begins with when it is started next, such as after `enable_dht` was set. */
  setDhtState(state: DhtState): void {
    this.engine.dht.setState(state)
  }

  /** What keeps the peers and items that other nodes store with us, from the next start of the DHT on. */
  setDhtStorage(storage: DhtStorageConstructor): void {
    this.engine.dht.setStorage(storage)
  }

  /** Posts a `DhtStatsAlert` for each of our nodes, one a socket; an empty one if the DHT does not run. */
  postDhtStats(): void {
    this.#dht(dht => dht.postStats())
  }

  /** Looks up the item with that SHA-1; answers by a `DhtImmutableItemAlert`. @see BEP 44 */
  dhtGetImmutableItem(target: Sha1Hash): void {
    this.#dht(dht => dht.getImmutableItem(target))
  }

  /**
   * Looks up an item by the key of its owner; answers by `DhtMutableItemAlert`s, one for each newer version, the last one
   * authoritative.
   *
   * @param key 32 bytes @param salt tells items of one owner apart, up to 64 bytes; text is taken as UTF-8
   * @throws RangeError for a key of another length
   * @see BEP 44
   */
  dhtGetMutableItem(key: Uint8Array, salt: Uint8Array | string = ''): void {
    checkLength('dhtGetMutableItem: key', key, 32)
    this.#dht(dht => dht.getMutableItem(copyBytes(key), bytesOf(salt)))
  }

  /** `dhtGetImmutableItem` or `dhtGetMutableItem`. */
  dhtGetItem(target: Sha1Hash): void
  dhtGetItem(key: Uint8Array, salt?: Uint8Array | string): void
  dhtGetItem(of: Sha1Hash | Uint8Array, salt: Uint8Array | string = ''): void {
    if (of instanceof Uint8Array) this.dhtGetMutableItem(of, salt)
    else this.dhtGetImmutableItem(of)
  }

  /**
   * Stores a value under its SHA-1; answers by a `DhtPutAlert`.
   *
   * @returns where it is stored
   * @throws RangeError if it has more than 1000 bytes, bencoded
   * @see BEP 44
   */
  dhtPutImmutableItem(data: Entry): Sha1Hash {
    return this.engine.turn.call(() => this.engine.dhtOperations.putImmutableItem(data))
  }

  /**
   * Stores bytes under the key of their owner, as the next version of what is there; answers by a `DhtPutAlert`.
   *
   * @param privateKey 64 bytes, and `publicKey` 32 bytes, as `ed25519CreateKeypair` gives them
   * @param data text is taken as UTF-8
   * @param salt tells items of one owner apart, up to 64 bytes
   * @throws RangeError for keys of another length, or more than 1000 bytes
   * @see BEP 44
   */
  dhtPutMutableItem(
    privateKey: Uint8Array,
    publicKey: Uint8Array,
    data: Uint8Array | string,
    salt: Uint8Array | string = '',
  ): void {
    checkLength('dhtPutMutableItem: privateKey', privateKey, 64)
    checkLength('dhtPutMutableItem: publicKey', publicKey, 32)
    const value = bytesOf(data)
    // with the digits of its length and a colon
    if (value.length + String(value.length).length + 1 > 1000) {
      throw new RangeError('dhtPutMutableItem: data has more than 1000 bytes, bencoded')
    }
    this.#dht(dht => dht.putSigned(copyBytes(privateKey), copyBytes(publicKey), value, bytesOf(salt)))
  }

  /** As `dhtPutImmutableItem`. */
  dhtPutItem(data: Entry): Sha1Hash
  /**
   * Stores an item under the key of its owner; answers by a `DhtPutAlert`.
   *
   * @param publicKey 32 bytes
   * @param change gets the newest version there is, and sets the value, version and signature of the next; called when
   *   the lookup is done, once for each of our nodes
   * @see BEP 44
   */
  dhtPutItem(publicKey: Uint8Array, change: (item: MutableItemData) => void, salt?: Uint8Array | string): void
  dhtPutItem(
    of: Entry,
    change?: (item: MutableItemData) => void,
    salt: Uint8Array | string = '',
  ): Sha1Hash | undefined {
    if (change === undefined) return this.dhtPutImmutableItem(of)
    if (!(of instanceof Uint8Array)) throw new TypeError('dhtPutItem: expected a key of 32 bytes')
    checkLength('dhtPutItem: publicKey', of, 32)
    this.#dht(dht => dht.putChanged(copyBytes(of), change, bytesOf(salt)))
    return undefined
  }

  /** Looks up peers of a swarm; answers by a `DhtGetPeersReplyAlert` for each node that knows some. */
  dhtGetPeers(infoHash: Sha1Hash): void {
    this.#dht(dht => dht.getPeers(infoHash))
  }

  /**
   * As `dhtGetPeers`, and announces that we are one of them.
   *
   * @param port 0 for our listen port @param flags `AnnounceFlags`
   * @throws RangeError for a port that is none
   */
  dhtAnnounce(infoHash: Sha1Hash, port = 0, flags: AnnounceFlags = 0): void {
    checkPort('dhtAnnounce', port, 0)
    this.#dht(dht => dht.announce(infoHash, port, flags))
  }

  /** Posts a `DhtLiveNodesAlert` with the nodes that our node of that id knows. @see postDhtStats */
  dhtLiveNodes(nid: Sha1Hash): void {
    this.#dht(dht => dht.liveNodes(nid))
  }

  /**
   * Asks a node for some of the info-hashes that it has peers of; answers by a `DhtSampleInfohashesAlert`.
   *
   * @param endpoint the node @param target which nodes it should tell of: those close to it
   * @throws TypeError if the address is none, RangeError if the port is none
   * @see BEP 51
   */
  dhtSampleInfohashes(endpoint: Endpoint, target: Sha1Hash): void {
    const to = endpointOf('dhtSampleInfohashes', endpoint)
    this.#dht(dht => dht.sampleInfohashes(to, target))
  }

  /**
   * Sends a query of one's own; answers by a `DhtDirectResponseAlert`.
   *
   * @param entry a dictionary with `q` and `a`; id, transaction and so on are added
   * @throws TypeError if the address is none, RangeError if the port is none
   */
  dhtDirectRequest(endpoint: Endpoint, entry: { readonly [key: string]: Entry }, userdata: unknown = null): void {
    const to = endpointOf('dhtDirectRequest', endpoint)
    this.#dht(dht => dht.directRequest(to, entry, userdata))
  }

  #dht(use: (operations: DhtOperations) => void): void {
    this.engine.turn.call(() => use(this.engine.dhtOperations))
  }
}

function checkLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${what}: expected ${length} bytes`)
}

function checkPort(where: string, port: number, lowest: 0 | 1): void {
  if (isPort(port, lowest)) return
  throw new RangeError(`${where}: expected a port from ${lowest} to 65535, not ${port}`)
}

/** Of one's own: a lookup may go on long after the call. */
function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? textToBytes(value) : copyBytes(value)
}

function endpointOf(where: string, [address, port]: Endpoint): Endpoint {
  const canonical = parseAddress(address)
  if (canonical === null) throw new TypeError(`${where}: ${address} is not an address`)
  checkPort(where, port, 0)
  return [canonical, port]
}
