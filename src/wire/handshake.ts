/** The 68 bytes every BitTorrent connection begins with. @see BEP 3 */

import { textToBytes } from '../core/bytes.ts'

export const HANDSHAKE_SIZE = 68
/** Length byte and protocol name. */
const PROTOCOL = new Uint8Array(20)
PROTOCOL[0] = 19
PROTOCOL.set(textToBytes('BitTorrent protocol'), 1)

/** Where the eight bytes of reserved bits begin, and the info-hash after them. */
export const RESERVED_AT = 20
export const INFO_HASH_AT = 28
const PEER_ID_AT = 48

/** What the reserved bits of a handshake announce. */
export interface HandshakeFeatures {
  /** Extension protocol. @see BEP 10 */
  readonly extended: boolean
  /** Fast extension. @see BEP 6 */
  readonly fast: boolean
  /** The `port` message. @see BEP 5 */
  readonly dht: boolean
  /** On a hybrid torrent's v1 info-hash: willing to speak v2. @see BEP 52 */
  readonly v2Upgrade: boolean
}

export function readFeatures(reserved: Uint8Array): HandshakeFeatures {
  return {
    extended: (reserved[5]! & 0x10) !== 0,
    fast: (reserved[7]! & 0x04) !== 0,
    dht: (reserved[7]! & 0x01) !== 0,
    v2Upgrade: (reserved[7]! & 0x10) !== 0,
  }
}

/**
 * @param infoHash 20 bytes: the v1 hash, or the v2 hash cut to 20
 * @param peerId   20 bytes
 * @returns 68 bytes the caller owns
 */
export function encodeHandshake(features: HandshakeFeatures, infoHash: Uint8Array, peerId: Uint8Array): Uint8Array {
  if (infoHash.length !== 20 || peerId.length !== 20) throw new RangeError('encodeHandshake: expected 20 + 20 bytes')
  const out = new Uint8Array(HANDSHAKE_SIZE)
  out.set(PROTOCOL)
  if (features.extended) out[RESERVED_AT + 5]! |= 0x10
  if (features.fast) out[RESERVED_AT + 7]! |= 0x04
  if (features.dht) out[RESERVED_AT + 7]! |= 0x01
  if (features.v2Upgrade) out[RESERVED_AT + 7]! |= 0x10
  out.set(infoHash, INFO_HASH_AT)
  out.set(peerId, PEER_ID_AT)
  return out
}

/** Receives the parts of a handshake as they become known. Views are borrowed. */
export interface HandshakeSink {
  /**
   * The first 20 bytes are not the protocol's name: an encrypted connection, or something else. The last call.
   *
   * @param bytes the 20 bytes; the rest of the chunk follows them
   */
  onForeignProtocol(bytes: Uint8Array): void
  /** 48 bytes are here: enough to find the torrent and to answer. */
  onInfoHash(reserved: Uint8Array, infoHash: Uint8Array): void
  /** All 68 bytes are here. The last call. */
  onPeerId(peerId: Uint8Array): void
}

/** Reads a handshake that comes in any number of parts. */
export class HandshakeDecoder {
  readonly #sink: HandshakeSink
  readonly #bytes = new Uint8Array(HANDSHAKE_SIZE)
  #have = 0
  #stopped = false

  constructor(sink: HandshakeSink) {
    this.#sink = sink
  }

  /** True after the peer id, after a foreign protocol, and after `stop`: nothing more is taken. */
  get done(): boolean {
    return this.#stopped
  }

  /** Bytes taken so far, 0 to 68. */
  get received(): number {
    return this.#have
  }

  /** Ends it; no more calls of the sink. May be called from within one. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @param chunk any number of bytes; borrowed
   * @returns how many of them were the handshake's. The rest belongs to the first message
   */
  push(chunk: Uint8Array): number {
    let at = 0
    while (at < chunk.length && !this.#stopped) {
      const target = this.#have < RESERVED_AT ? RESERVED_AT : this.#have < PEER_ID_AT ? PEER_ID_AT : HANDSHAKE_SIZE
      const n = Math.min(target - this.#have, chunk.length - at)
      this.#bytes.set(chunk.subarray(at, at + n), this.#have)
      this.#have += n
      at += n
      if (this.#have === target) this.#reached(target)
    }
    return at
  }

  #reached(target: number): void {
    const bytes = this.#bytes
    if (target === RESERVED_AT) {
      for (let i = 0; i < RESERVED_AT; i++) {
        if (bytes[i] !== PROTOCOL[i]) {
          this.#stopped = true
          this.#sink.onForeignProtocol(bytes.subarray(0, RESERVED_AT))
          return
        }
      }
    } else if (target === PEER_ID_AT) {
      this.#sink.onInfoHash(bytes.subarray(RESERVED_AT, INFO_HASH_AT), bytes.subarray(INFO_HASH_AT, PEER_ID_AT))
    } else {
      this.#stopped = true
      this.#sink.onPeerId(bytes.subarray(PEER_ID_AT))
    }
  }
}
