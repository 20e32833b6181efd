/** A peer that speaks raw bytes, without any of the library's own codecs: scripted, and hostile when wanted. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import type { Listener, Runtime, Stream, StreamHandler } from '../../../src/core/runtime.ts'

export const PeerMessage = Object.freeze({
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  port: 9,
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  extended: 20,
} as const)

/** One message of the other side; a keep-alive has id -1. */
export interface ReceivedMessage {
  readonly id: number
  readonly payload: Buffer
}

/** A block somebody asked for. */
export interface BlockRequest {
  readonly piece: number
  readonly begin: number
  readonly length: number
}

export interface FakePeerOptions {
  /** 20 bytes. */
  readonly infoHash: Uint8Array
  /** 20 bytes; `-XX0000-` and zeros if absent. */
  readonly peerId?: Uint8Array
  /** The 8 reserved bytes; fast extension and extension protocol if absent. */
  readonly reserved?: Uint8Array
  /** Send the handshake by itself: when connected, or in answer to the other one. Default true. */
  readonly greets?: boolean
}

const HANDSHAKE_BYTES = 68

export class FakePeer implements StreamHandler {
  readonly options: FakePeerOptions
  readonly messages: ReceivedMessage[] = []
  /** Requests that came and were not cancelled. */
  readonly requests: BlockRequest[] = []
  /** The other side's 68 bytes. */
  handshake: Buffer | null = null
  connected = false
  /** Why the connection ended. */
  closed: ErrorCode | null = null
  onHandshake: () => void = () => {}
  onMessage: (message: ReceivedMessage) => void = () => {}
  onClosed: () => void = () => {}
  #stream: Stream | null = null
  #received = Buffer.alloc(0)
  #greeted = false

  constructor(options: FakePeerOptions) {
    this.options = options
  }

  /** Connects to a peer. */
  static connect(runtime: Runtime, to: Endpoint, options: FakePeerOptions): FakePeer {
    const peer = new FakePeer(options)
    peer.#attach(runtime.connect({ to }))
    return peer
  }

  /** Waits for peers; `accept` sets each one up. */
  static listen(
    runtime: Runtime,
    at: Endpoint,
    options: FakePeerOptions,
    accept: (peer: FakePeer) => void,
    done: (listener: Listener) => void = () => {},
  ): void {
    runtime.listen(
      at,
      {
        onAccept(stream) {
          const peer = new FakePeer(options)
          peer.connected = true
          peer.#attach(stream)
          accept(peer)
        },
        onError() {},
      },
      (error, listener) => {
        if (listener === null) throw new Error(`fake peer: ${error?.message()}`)
        done(listener)
      },
    )
  }

  get stream(): Stream {
    return this.#stream!
  }

  /** Sends any bytes at all. */
  raw(...parts: Uint8Array[]): void {
    this.#stream!.write([Buffer.concat(parts)])
  }

  sendHandshake(): void {
    if (this.#greeted) return
    this.#greeted = true
    const { infoHash, peerId, reserved } = this.options
    const id = peerId ?? Buffer.from('-XX0000-000000000000')
    this.raw(Buffer.from('\x13BitTorrent protocol'), reserved ?? Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 4), infoHash, id)
  }

  /** Sends one message. */
  send(id: number, ...payload: Uint8Array[]): void {
    const body = Buffer.concat(payload)
    this.raw(u32(1 + body.length), Uint8Array.of(id), body)
  }

  sendKeepAlive(): void {
    this.raw(u32(0))
  }

  sendHave(piece: number): void {
    this.send(PeerMessage.have, u32(piece))
  }

  sendBitfield(have: readonly boolean[]): void {
    const bytes = Buffer.alloc(Math.ceil(have.length / 8))
    have.forEach((is, i) => {
      if (is) bytes[i >> 3]! |= 0x80 >> (i & 7)
    })
    this.send(PeerMessage.bitfield, bytes)
  }

  sendRequest(piece: number, begin: number, length: number): void {
    this.send(PeerMessage.request, u32(piece), u32(begin), u32(length))
  }

  sendBlock(piece: number, begin: number, bytes: Uint8Array): void {
    this.send(PeerMessage.piece, u32(piece), u32(begin), bytes)
  }

  /**
   * Behaves as a seed: has everything, unchokes who is interested, and answers requests.
   *
   * @param content the whole torrent
   * @param spoil   changes a block before it is sent
   */
  seed(
    content: Uint8Array,
    pieceLength: number,
    spoil: (request: BlockRequest, block: Buffer) => void = () => {},
  ): void {
    const pieces = Math.ceil(content.length / pieceLength)
    const before = this.onHandshake
    this.onHandshake = () => {
      before()
      this.sendBitfield(new Array(pieces).fill(true))
    }
    this.onMessage = ({ id }) => {
      if (id === PeerMessage.interested) this.send(PeerMessage.unchoke)
      for (const request of this.requests.splice(0)) {
        const at = request.piece * pieceLength + request.begin
        const block = Buffer.from(content.subarray(at, at + request.length))
        spoil(request, block)
        this.sendBlock(request.piece, request.begin, block)
      }
    }
  }

  close(): void {
    this.#stream?.close()
  }

  onConnect(): void {
    this.connected = true
    if (this.options.greets !== false) this.sendHandshake()
  }

  onData(chunk: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, chunk])
    if (this.handshake === null) {
      if (this.#received.length < HANDSHAKE_BYTES) return
      this.handshake = this.#take(HANDSHAKE_BYTES)
      if (this.options.greets !== false) this.sendHandshake()
      this.onHandshake()
    }
    while (this.#received.length >= 4) {
      const length = this.#received.readUInt32BE()
      if (this.#received.length < 4 + length) return
      const frame = this.#take(4 + length).subarray(4)
      this.#message(length === 0 ? -1 : frame[0]!, frame.subarray(1))
    }
  }

  onDrain(): void {}

  onClose(error: ErrorCode): void {
    this.closed = error
    this.onClosed()
  }

  #attach(stream: Stream): void {
    this.#stream = stream
    stream.setHandler(this)
  }

  #take(count: number): Buffer {
    const taken = Buffer.from(this.#received.subarray(0, count))
    this.#received = this.#received.subarray(count)
    return taken
  }

  #message(id: number, payload: Buffer): void {
    if ((id === PeerMessage.request || id === PeerMessage.cancel) && payload.length === 12) {
      const request = {
        piece: payload.readUInt32BE(0),
        begin: payload.readUInt32BE(4),
        length: payload.readUInt32BE(8),
      }
      if (id === PeerMessage.request) this.requests.push(request)
      else {
        const at = this.requests.findIndex(({ piece, begin }) => piece === request.piece && begin === request.begin)
        if (at >= 0) this.requests.splice(at, 1)
      }
    }
    const message = { id, payload }
    this.messages.push(message)
    this.onMessage(message)
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
