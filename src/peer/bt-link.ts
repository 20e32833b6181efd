/**
 * One BitTorrent connection over a `Stream`: handshake, then messages, with a send buffer in between.
 *
 * The door of all stream events: each enters a turn here, and what they throw ends the connection, not
 * the program. What was written during a turn goes out in one write at its end.
 */

import type { ByteWriter } from '../core/byte-writer.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { SocketType } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { Operation } from '../core/operation.ts'
import { FRAME_SIZE } from '../core/piece-frames.ts'
import type { Stream, StreamHandler } from '../core/runtime.ts'
import type { Turn, TurnEffect } from '../core/turn.ts'
import { encodeHandshake, HandshakeDecoder, type HandshakeFeatures } from '../wire/handshake.ts'
import { MessageDecoder } from '../wire/message-decoder.ts'
import { encodeCancel, encodeRequest } from '../wire/message-encoder.ts'
import type { PeerLink, PeerLinkOwner } from './peer-link.ts'
import { SendBuffer } from './send-buffer.ts'

export class BtLink implements PeerLink, StreamHandler, TurnEffect {
  readonly mergesRequests = false
  readonly #stream: Stream
  readonly #owner: PeerLinkOwner
  readonly #turn: Turn
  readonly #handshake: HandshakeDecoder
  readonly decoder: MessageDecoder
  readonly #buffer = new SendBuffer()
  #flushQueued = false
  #closed = false
  /** Bytes in `Stream.write` that the transport has not reported as flushed. */
  #inFlight = 0

  constructor(stream: Stream, owner: PeerLinkOwner, turn: Turn) {
    this.#stream = stream
    this.#owner = owner
    this.#turn = turn
    this.#handshake = new HandshakeDecoder(owner)
    this.decoder = new MessageDecoder(owner)
    stream.setHandler(this)
  }

  get kind(): SocketType {
    return this.#stream.kind
  }

  get local(): Endpoint {
    return this.#stream.local
  }

  get handshakeDone(): boolean {
    return this.#handshake.done
  }

  get unsentBytes(): number {
    return this.#buffer.bytes + this.#inFlight
  }

  out(): ByteWriter {
    this.#wantFlush()
    return this.#buffer.out
  }

  outWithNext(): ByteWriter {
    return this.#buffer.out
  }

  get holdsBytes(): boolean {
    return this.#buffer.bytes > 0
  }

  writeHandshake(features: HandshakeFeatures, infoHash: Uint8Array, peerId: Uint8Array): void {
    this.#buffer.append(encodeHandshake(features, infoHash, peerId))
    this.#wantFlush()
  }

  write(view: Uint8Array): void {
    if (this.#closed) return
    this.#buffer.append(view)
    this.#wantFlush()
  }

  writeBlock(views: readonly Uint8Array[], release: () => void, framed = false): void {
    if (this.#closed) {
      release()
      return
    }
    this.#buffer.appendBlock(views, release, framed)
    this.#wantFlush()
  }

  resumeSending(): void {
    this.#wantFlush()
  }

  request(piece: number, begin: number, length: number): void {
    encodeRequest(this.out(), piece, begin, length)
  }

  cancel(piece: number, begin: number, length: number): void {
    encodeCancel(this.out(), piece, begin, length)
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handshake.stop()
    this.decoder.stop()
    this.#flush(true)
    this.#buffer.clear()
    this.#stream.close()
  }

  endOfTurn(): void {
    this.#flushQueued = false
    if (!this.#closed) this.#flush(false)
  }

  onConnect(): void {
    this.#turn.enter()
    try {
      this.#owner.linkConnected()
    } catch (error) {
      this.#owner.linkCrashed(error)
    } finally {
      this.#turn.leave()
    }
  }

  /** As many whole blocks as fit: those that come whole need not be put together. */
  readSize(capacity: number): number {
    const begun = this.decoder.blockRemaining
    return begun + Math.floor((capacity - begun) / FRAME_SIZE) * FRAME_SIZE
  }

  onData(chunk: Uint8Array): void {
    if (this.#closed) return
    this.#turn.enter()
    const payloadBefore = this.decoder.payloadBytes
    try {
      if (this.#handshake.done) this.decoder.push(chunk)
      else {
        const used = this.#handshake.push(chunk)
        if (used < chunk.length && this.#handshake.done) this.decoder.push(chunk.subarray(used))
      }
    } catch (error) {
      this.#owner.linkCrashed(error)
    } finally {
      const payload = this.decoder.payloadBytes - payloadBefore
      this.#owner.linkReceived(payload, chunk.length - payload)
      this.#turn.leave()
    }
  }

  /** Also called when a write was flushed at once, without the queue ever filling. */
  onDrain(): void {
    if (this.#closed) return
    this.#turn.enter()
    try {
      this.#owner.linkDrained()
      // what the quota had no room for, when nothing is added that would be sent with it
      if (this.#buffer.bytes > 0) this.#wantFlush()
    } catch (error) {
      this.#owner.linkCrashed(error)
    } finally {
      this.#turn.leave()
    }
  }

  onClose(error: ErrorCode, operation: Operation): void {
    if (this.#closed) return
    this.#turn.enter()
    try {
      this.#closed = true
      this.#buffer.clear()
      this.#owner.linkClosed(error, operation)
    } catch (thrown) {
      this.#owner.linkCrashed(thrown)
    } finally {
      this.#turn.leave()
    }
  }

  #wantFlush(): void {
    if (this.#flushQueued || this.#closed) return
    this.#flushQueued = true
    this.#turn.atEnd(this)
  }

  #flush(all: boolean): void {
    const batch = this.#buffer.take(all ? Number.POSITIVE_INFINITY : this.#owner.sendQuota())
    if (batch === null) return
    this.#inFlight += batch.bytes
    this.#stream.write(batch.views, () => {
      this.#inFlight -= batch.bytes
      batch.release()
      if (!this.#closed) this.onDrain()
    })
    this.#owner.linkSent(batch.payloadBytes, batch.bytes - batch.payloadBytes)
  }
}
