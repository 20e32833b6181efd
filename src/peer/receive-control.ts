/**
 * When one peer is read from: not while it owes for what it sent, while there is no memory for its blocks, or while it
 * does not take what it is sent.
 */

import type { PeerConnection } from './peer-connection.ts'

/** Rejects and the like that may wait to be sent. */
const SHORT_ANSWERS_BYTES = 256 * 1024
/** Free slots with which a peer that waited for memory may read on. */
const ROOM_TO_GO_ON = 64

export class ReceiveControl {
  readonly #peer: PeerConnection
  #paused = false
  #forMemory = false
  #forSending = false

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  get paused(): boolean {
    return this.#paused
  }

  /** No slot for a block: reads nothing more until there are some. */
  get pausedForMemory(): boolean {
    return this.#forMemory
  }

  /** The peer does not take what it is sent: what it says is not read either, since answers would pile up. */
  get pausedForSending(): boolean {
    return this.#forSending
  }

  pause(): void {
    if (this.#paused || this.#peer.disconnecting) return
    this.#paused = true
    this.#peer.link.pause()
  }

  pauseForMemory(): void {
    this.#forMemory = true
    this.pause()
  }

  /** Slots are free again, or the quota allows more. */
  resume(): void {
    const { link, quota, session } = this.#peer
    if (this.#forMemory && session.slots.underPressure && !this.#roomAgain()) return
    this.#forMemory = false
    if (!this.#paused || this.#forSending || !quota.mayReceive) return
    this.#paused = false
    link.resume()
  }

  /** Not much room, but enough to go on with: what holds the rest are blocks that others are receiving. */
  #roomAgain(): boolean {
    const { slots } = this.#peer.session
    return slots.budget - slots.inUse > ROOM_TO_GO_ON
  }

  /** After messages were handled: their answers may wait to be sent. */
  received(): void {
    const peer = this.#peer
    if (peer.disconnecting || peer.link.unsentBytes <= this.#sendLimit) return
    this.#forSending = true
    this.pause()
  }

  /** The peer took something of what it is sent. */
  drained(): void {
    if (!this.#forSending) return
    const peer = this.#peer
    // that bytes get through is a sign of life of a peer that is not listened to
    peer.lastReceive = peer.session.turn.now
    if (peer.link.unsentBytes > this.#sendLimit >> 1) return
    this.#forSending = false
    this.resume()
  }

  /** Unsent bytes beyond which a peer is not read from: what blocks may fill, and room for short answers. */
  get #sendLimit(): number {
    return this.#peer.session.settings.sendBufferWatermark + SHORT_ANSWERS_BYTES
  }
}
