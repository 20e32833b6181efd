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
import {
  encodeHandshake,
  HandshakeDecoder,
  type HandshakeFeatures,
  INFO_HASH_AT,
  RESERVED_AT,
} from '../wire/handshake.ts'
import { MessageDecoder } from '../wire/message-decoder.ts'
import { encodeCancel, encodeRequest } from '../wire/message-encoder.ts'
import { logHandshakeSent, logInfoHash, logPeerId } from './handshake-log.ts'
import { MessageLog } from './message-log.ts'
import type { LogNotice } from './peer-host.ts'
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
  #log: MessageLog | null = null
  /** Bytes in `SendBuffer.out` that the log has. */
  #logged = 0
  /** Bytes in `Stream.write` that the transport has not reported as flushed. */
  #inFlight = 0

  constructor(stream: Stream, owner: PeerLinkOwner, turn: Turn) {
    this.#stream = stream
    this.#owner = owner
    this.#turn = turn
    this.#handshake = new HandshakeDecoder({
      onForeignProtocol: bytes => owner.onForeignProtocol(bytes),
      onInfoHash: (reserved, infoHash) => {
        owner.onInfoHash(reserved, infoHash)
        logInfoHash(owner, reserved)
      },
      onPeerId: peerId => {
        logPeerId(owner, peerId)
        owner.onPeerId(peerId)
      },
    })
    this.decoder = new MessageDecoder(owner)
    stream.setHandler(this)
  }

  get kind(): SocketType {
    return this.#stream.kind
  }

  get local(): Endpoint {
    return this.#stream.local
  }

  get unsentBytes(): number {
    return this.#buffer.bytes + this.#inFlight
  }

  out(): ByteWriter {
    this.#wantFlush()
    return this.outWithNext()
  }

  outWithNext(): ByteWriter {
    if (this.#owner.logsMessages !== (this.#log !== null)) this.#switchLog()
    if (this.#log !== null) this.#logWritten(this.#log)
    return this.#buffer.out
  }

  get holdsBytes(): boolean {
    return this.#buffer.bytes > 0
  }

  writeHandshake(features: HandshakeFeatures, infoHash: Uint8Array, peerId: Uint8Array): void {
    if (this.#log !== null) this.#logViews(this.#log, [])
    const handshake = encodeHandshake(features, infoHash, peerId)
    logHandshakeSent(this.#owner, handshake.subarray(RESERVED_AT, INFO_HASH_AT), infoHash, peerId)
    this.#buffer.append(handshake)
    this.#wantFlush()
  }

  write(view: Uint8Array): void {
    if (this.#closed) return
    if (this.#log !== null) this.#logViews(this.#log, [view])
    this.#buffer.append(view)
    this.#wantFlush()
  }

  writeBlock(views: readonly Uint8Array[], release: () => void, framed = false): void {
    if (this.#closed) {
      release()
      return
    }
    if (this.#log !== null) this.#logViews(this.#log, views)
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
    if (this.#owner.logsMessages !== (this.#log !== null)) this.#switchLog()
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

  /** Somebody wants the log now, or nobody any more. */
  #switchLog(): void {
    const owner = this.#owner
    if (this.#log === null) {
      const port = {
        numPieces: () => this.decoder.numPieces,
        log: (notice: LogNotice) => owner.logMessage(notice),
      }
      this.#log = new MessageLog(owner, port)
      this.#logged = this.#buffer.out.length
      this.decoder.setSink(this.#log.incoming)
    } else {
      this.#log = null
      this.decoder.setSink(owner)
    }
  }

  /** Logs what was written to `out()` since. */
  #logWritten(log: MessageLog): void {
    const { out } = this.#buffer
    if (out.length > this.#logged) log.sent(out.view().subarray(this.#logged))
    this.#logged = out.length
  }

  /** Views are appended behind what is in `out()`, which begins anew. */
  #logViews(log: MessageLog, views: readonly Uint8Array[]): void {
    this.#logWritten(log)
    this.#logged = 0
    for (const view of views) log.sent(view)
  }

  #wantFlush(): void {
    if (this.#flushQueued || this.#closed) return
    this.#flushQueued = true
    this.#turn.atEnd(this)
  }

  #flush(all: boolean): void {
    if (this.#log !== null) this.#logViews(this.#log, [])
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
