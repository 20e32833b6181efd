/**
 * Splits a peer's stream into messages and hands them to a {@link WireSink}. No I/O, no timers.
 *
 * A message that lies whole in a chunk is read in place. A cut one is gathered in a small buffer that
 * grows as bytes arrive, never on the word of a length prefix. Payload of blocks is never gathered: it
 * goes to the sink part by part as it comes, so that it can be copied straight to where it belongs.
 */

import { readUint16, readUint32 } from '../core/bytes.ts'
import { type ErrorCode, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { PIECE_HEADER_SIZE } from '../core/piece-frames.ts'
import { hashesLength, isPlausible, readHashRequest } from './hash-messages.ts'
import { FIXED_LENGTH, LENGTH_ERROR, NEEDS, NEEDS_FAST, NEEDS_V2 } from './message-table.ts'
import { HASH_HEADER_LENGTH, MAX_MESSAGE_LENGTH, MessageId, REQUEST_SIZE } from './messages.ts'
import type { WireSink } from './wire-sink.ts'

/** Limits of a {@link MessageDecoder}. */
export interface WireLimits {
  /** Longest message, without its length prefix. */
  readonly maxMessageLength: number
  /** Longest payload of a `piece` message. libtorrent's is the smaller of 16 KiB and the piece size. */
  readonly maxBlockLength: number
}

export const DEFAULT_WIRE_LIMITS: WireLimits = Object.freeze({
  maxMessageLength: MAX_MESSAGE_LENGTH,
  maxBlockLength: 16384,
})

/** Bytes of a message that must be there before it can be judged: length prefix and id. */
const HEAD_SIZE = 5
/** The same for an extended message. */
const EXTENDED_HEAD_SIZE = 6
const SMALL_CARRY = 64

export class MessageDecoder {
  #sink: WireSink
  readonly #maxMessageLength: number
  readonly #maxBlockLength: number
  #stopped = false
  #error: ErrorCode | null = null
  #numPieces = -1
  #fast = false
  #v2 = false

  /** Beginning of a cut message, length prefix included; `#have` bytes of it are filled. */
  #carry: Uint8Array = new Uint8Array(SMALL_CARRY)
  #have = 0
  /** What `#have` must reach before the next step: the prefix, the head, or the whole message. */
  #need = 4
  /** Bytes still to come of a message nobody wants. */
  #skip = 0

  // The block that is being received; valid while #inBlock.
  #inBlock = false
  #piece = 0
  #begin = 0
  #blockLength = 0
  #blockAt = 0
  #blockWanted = false
  #payloadBytes = 0

  constructor(sink: WireSink, limits: WireLimits = DEFAULT_WIRE_LIMITS) {
    this.#sink = sink
    this.#maxMessageLength = limits.maxMessageLength
    this.#maxBlockLength = limits.maxBlockLength
  }

  /** From now on another gets the messages. */
  setSink(sink: WireSink): void {
    this.#sink = sink
  }

  /** -1 while it is not known. */
  get numPieces(): number {
    return this.#numPieces
  }

  /** True once the peer broke the protocol or `stop` was called; `push` then does nothing. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Why the decoder failed; `null` if it did not. */
  get error(): ErrorCode | null {
    return this.#error
  }

  /** Payload of `piece` messages received so far, wanted or not. All other bytes are protocol overhead. */
  get payloadBytes(): number {
    return this.#payloadBytes
  }

  /** True while the payload of a block is incomplete. */
  get inBlock(): boolean {
    return this.#inBlock
  }

  /** Bytes to come until the block that is being received is whole; 0 if there is none. */
  get blockRemaining(): number {
    return this.#inBlock ? this.#blockLength - this.#blockAt : 0
  }

  /** Bytes of the block now being received that are here. */
  get blockReceived(): number {
    return this.#inBlock ? this.#blockAt : 0
  }

  /** Bytes held in the buffer for cut messages: its capacity. */
  get bufferedCapacity(): number {
    return this.#carry.length
  }

  /** How many pieces the torrent has, which the `bitfield` message must fit; -1 while that is not known. */
  setNumPieces(count: number): void {
    this.#numPieces = count
  }

  /** Whether both sides have announced the fast extension. Its messages are errors else (libtorrent's). @see BEP 6 */
  setFastSupported(supported: boolean): void {
    this.#fast = supported
  }

  /** Whether the peer is connected by the v2 info-hash or upgraded. Hash messages are errors else. @see BEP 52 */
  setProtocolV2(supported: boolean): void {
    this.#v2 = supported
  }

  /** Drops what is left of the chunk and everything after. To be called when the connection closes. */
  stop(): void {
    this.#stopped = true
    this.#carry = EMPTY
    this.#have = 0
  }

  /** Ends with an error that the sink found; reports it as any other. Nothing happens after the first. */
  fail(error: ErrorCode): void {
    if (this.#stopped) return
    this.#error = error
    this.stop()
    this.#sink.onProtocolError(error)
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @param chunk any number of bytes, cut anywhere; borrowed, not kept after return
   */
  push(chunk: Uint8Array): void {
    const end = chunk.length
    let at = 0
    while (at < end && !this.#stopped) {
      if (this.#inBlock) at = this.#takePayload(chunk, at, end)
      else if (this.#skip > 0) {
        const n = Math.min(this.#skip, end - at)
        this.#skip -= n
        at += n
      } else if (this.#have === 0 && end - at >= HEAD_SIZE) at = this.#takeInPlace(chunk, at, end)
      else at = this.#gather(chunk, at, end)
    }
  }

  /** Reads the message at `at` where it lies; gathers it if it is cut. @returns where to go on */
  #takeInPlace(chunk: Uint8Array, at: number, end: number): number {
    const length = readUint32(chunk, at)
    if (length === 0) {
      this.#sink.onKeepAlive()
      return at + 4
    }
    const available = end - at - 4
    const id = chunk[at + 4]!
    if (id === MessageId.piece && length >= 9 && available >= 9) {
      if (!this.#admit(id, length)) return end
      const next = available >= length && length > 9 ? this.#takePieces(chunk, at, end, length) : at
      if (next !== at || this.#stopped) return next
      this.#openBlock(readUint32(chunk, at + 5), readUint32(chunk, at + 9), length - 9)
      return at + PIECE_HEADER_SIZE
    }
    // Variable length messages have more than one step before they are whole; they take the gathering path if cut.
    if (length > available || length > this.#maxMessageLength) return this.#gather(chunk, at, end)
    if (!this.#admit(id, length)) return end
    if (id === MessageId.request) return this.#takeRequests(chunk, at, end)
    const next = at + 4 + length
    if (FIXED_LENGTH[id]! < 0 && !this.#admitPayload(id, chunk, at + 4, length)) return next
    this.#dispatch(id, chunk, at + 5, next)
    return next
  }

  /** Reads a `request` and those after it that continue its range. @returns where to go on */
  #takeRequests(chunk: Uint8Array, at: number, end: number): number {
    const piece = readUint32(chunk, at + 5)
    const begin = readUint32(chunk, at + 9)
    const length = readUint32(chunk, at + 13)
    let count = 1
    let next = at + REQUEST_SIZE
    while (
      next + REQUEST_SIZE <= end &&
      readUint32(chunk, next + 9) === begin + count * length &&
      readUint32(chunk, next + 5) === piece &&
      readUint32(chunk, next + 13) === length &&
      chunk[next + 4] === MessageId.request &&
      readUint32(chunk, next) === REQUEST_SIZE - 4
    ) {
      count++
      next += REQUEST_SIZE
    }
    this.#sink.onRequest(piece, begin, length, count)
    return next
  }

  /** Offers a whole `piece` message, and those after it that continue it, to the sink. @returns where to go on */
  #takePieces(chunk: Uint8Array, at: number, end: number, length: number): number {
    const whole = 4 + length
    const piece = readUint32(chunk, at + 5)
    const begin = readUint32(chunk, at + 9)
    const size = length - 9
    let count = 1
    let next = at + whole
    while (
      next + whole <= end &&
      readUint32(chunk, next + 9) === begin + count * size &&
      readUint32(chunk, next + 5) === piece &&
      chunk[next + 4] === MessageId.piece &&
      readUint32(chunk, next) === length
    ) {
      count++
      next += whole
    }
    const taken = this.#sink.onPieces(piece, begin, size, count, chunk, at)
    this.#payloadBytes += taken * size
    return at + taken * whole
  }

  /** Copies bytes of a cut message, up to the next step. @returns where to go on */
  #gather(chunk: Uint8Array, at: number, end: number): number {
    const n = Math.min(this.#need - this.#have, end - at)
    this.#reserve(this.#have + n)
    const carry = this.#carry
    if (n < 32) for (let i = 0; i < n; i++) carry[this.#have + i] = chunk[at + i]!
    else carry.set(chunk.subarray(at, at + n), this.#have)
    this.#have += n
    if (this.#have === this.#need) this.#step()
    return at + n
  }

  /** `#need` bytes are here: looks at them and decides what is needed next. */
  #step(): void {
    const carry = this.#carry
    const length = readUint32(carry, 0)
    const whole = 4 + length
    if (this.#need === 4) {
      if (length === 0) {
        this.#reset()
        this.#sink.onKeepAlive()
      } else if (length > this.#maxMessageLength) this.#failWith(LibtorrentErrors.packetTooLarge)
      else this.#need = HEAD_SIZE
      return
    }
    const id = carry[4]!
    if (this.#need === HEAD_SIZE) {
      if (!this.#admit(id, length)) return
      const next = headSize(id, length)
      if (next > HEAD_SIZE) {
        this.#need = next
        return
      }
    }
    if (id === MessageId.piece && length >= 9) {
      const piece = readUint32(carry, 5)
      const begin = readUint32(carry, 9)
      this.#reset()
      this.#openBlock(piece, begin, length - 9)
      return
    }
    if (FIXED_LENGTH[id]! < 0 && this.#need === headSize(id, length)) {
      if (!this.#admitPayload(id, carry, 4, length)) {
        if (!this.#stopped) {
          this.#skip = whole - this.#have
          this.#reset()
        }
        return
      }
      if (this.#need < whole) {
        this.#need = whole
        return
      }
    }
    // The sink may call stop(), which drops the buffer: the view keeps it alive.
    this.#reset()
    this.#dispatch(id, carry, 5, whole)
    this.#shrink()
  }

  /** Judges a message by its id and length. False if that failed. */
  #admit(id: number, length: number): boolean {
    const error = this.#headError(id, length)
    if (error === 0) return true
    this.#failWith(error as LibtorrentErrors)
    return false
  }

  #headError(id: number, length: number): number {
    if (length > this.#maxMessageLength) return LibtorrentErrors.packetTooLarge
    const needs = NEEDS[id]!
    if (needs === NEEDS_FAST && !this.#fast) return LENGTH_ERROR[id]!
    if (needs === NEEDS_V2 && !this.#v2) return LibtorrentErrors.invalidMessage
    const fixedLength = FIXED_LENGTH[id]!
    if (fixedLength >= 0) return fixedLength === length ? 0 : LENGTH_ERROR[id]!
    switch (id) {
      case MessageId.piece:
        return length - 9 > this.#maxBlockLength ? LibtorrentErrors.packetTooLarge : 0
      case MessageId.bitfield:
        return this.#bitfieldFits(length) ? 0 : LibtorrentErrors.invalidBitfieldSize
      case MessageId.extended:
        return length < 2 ? LibtorrentErrors.invalidExtended : 0
      default:
        return 0
    }
  }

  #bitfieldFits(length: number): boolean {
    return this.#numPieces < 0 || length - 1 === Math.ceil(this.#numPieces / 8)
  }

  /**
   * Judges a message of variable length by what its head says, before memory is reserved for the rest.
   *
   * @param at of the id
   * @returns false if the rest is to be skipped, or if that failed
   */
  #admitPayload(id: number, bytes: Uint8Array, at: number, length: number): boolean {
    switch (id) {
      case MessageId.bitfield:
        return true
      case MessageId.extended:
        return this.#sink.onExtendedHeader(bytes[at + 1]!, length - 2) && !this.#stopped
      case MessageId.hashes: {
        // As libtorrent, which takes no notice of one too short for its header.
        if (length < HASH_HEADER_LENGTH) return false
        const request = readHashRequest(bytes, at + 1)
        if (isPlausible(request) && hashesLength(request) === length) return true
        this.#failWith(LibtorrentErrors.invalidHashes)
        return false
      }
      case MessageId.piece:
        // Too short for its header: libtorrent takes no notice of it.
        return false
      default:
        if (this.#sink.onUnknownHeader(id, length - 1)) return !this.#stopped
        this.#failWith(LibtorrentErrors.invalidMessage)
        return false
    }
  }

  /** A whole message: its payload is `bytes` from `at` to `end`. */
  #dispatch(id: number, bytes: Uint8Array, at: number, end: number): void {
    const sink = this.#sink
    switch (id) {
      case MessageId.choke:
        sink.onChoke()
        break
      case MessageId.unchoke:
        sink.onUnchoke()
        break
      case MessageId.interested:
        sink.onInterested()
        break
      case MessageId.notInterested:
        sink.onNotInterested()
        break
      case MessageId.have:
        sink.onHave(readUint32(bytes, at))
        break
      case MessageId.bitfield:
        // The number of pieces may have become known since the message began.
        if (this.#bitfieldFits(end - at + 1)) sink.onBitfield(bytes.subarray(at, end))
        else this.#failWith(LibtorrentErrors.invalidBitfieldSize)
        break
      case MessageId.request:
        sink.onRequest(readUint32(bytes, at), readUint32(bytes, at + 4), readUint32(bytes, at + 8), 1)
        break
      case MessageId.cancel:
        sink.onCancel(readUint32(bytes, at), readUint32(bytes, at + 4), readUint32(bytes, at + 8))
        break
      case MessageId.dhtPort:
        sink.onDhtPort(readUint16(bytes, at))
        break
      case MessageId.suggest:
        sink.onSuggest(readUint32(bytes, at))
        break
      case MessageId.haveAll:
        sink.onHaveAll()
        break
      case MessageId.haveNone:
        sink.onHaveNone()
        break
      case MessageId.reject:
        sink.onReject(readUint32(bytes, at), readUint32(bytes, at + 4), readUint32(bytes, at + 8))
        break
      case MessageId.allowedFast:
        sink.onAllowedFast(readUint32(bytes, at))
        break
      case MessageId.extended:
        sink.onExtended(bytes[at]!, bytes.subarray(at + 1, end))
        break
      case MessageId.hashRequest:
        sink.onHashRequest(readHashRequest(bytes, at))
        break
      case MessageId.hashes:
        sink.onHashes(readHashRequest(bytes, at), bytes.subarray(at + HASH_HEADER_LENGTH - 1, end))
        break
      case MessageId.hashReject:
        sink.onHashReject(readHashRequest(bytes, at))
        break
      default:
        sink.onUnknown(id, bytes.subarray(at, end))
        break
    }
  }

  #openBlock(piece: number, begin: number, length: number): void {
    this.#piece = piece
    this.#begin = begin
    this.#blockLength = length
    this.#blockAt = 0
    this.#inBlock = true
    this.#blockWanted = this.#sink.onPieceHeader(piece, begin, length)
    if (length === 0 && !this.#stopped) this.#closeBlock()
  }

  #takePayload(chunk: Uint8Array, at: number, end: number): number {
    const offset = this.#blockAt
    const n = Math.min(this.#blockLength - offset, end - at)
    this.#blockAt = offset + n
    this.#payloadBytes += n
    if (this.#blockWanted) this.#sink.onPiecePayload(chunk, at, at + n, offset)
    if (this.#blockAt === this.#blockLength && !this.#stopped) this.#closeBlock()
    return at + n
  }

  #closeBlock(): void {
    this.#inBlock = false
    this.#sink.onPieceEnd(this.#piece, this.#begin, this.#blockLength)
  }

  #failWith(error: LibtorrentErrors): void {
    this.fail(libtorrentError(error))
  }

  #reset(): void {
    this.#have = 0
    this.#need = 4
  }

  /** Makes room for `size` bytes: doubling, so that the buffer is at most twice what has arrived. */
  #reserve(size: number): void {
    if (size <= this.#carry.length) return
    const grown = new Uint8Array(Math.min(Math.max(size, this.#carry.length * 2), Math.max(this.#need, size)))
    grown.set(this.#carry.subarray(0, this.#have))
    this.#carry = grown
  }

  /** A long message must not cost its memory for the rest of the connection. */
  #shrink(): void {
    if (this.#carry.length > SMALL_CARRY && !this.#stopped) this.#carry = new Uint8Array(SMALL_CARRY)
  }
}

const EMPTY = new Uint8Array(0)

/** How much of a message, prefix included, tells whether the rest is wanted. */
function headSize(id: number, length: number): number {
  if (FIXED_LENGTH[id]! >= 0) return 4 + length
  switch (id) {
    case MessageId.piece:
      return length >= 9 ? PIECE_HEADER_SIZE : HEAD_SIZE
    case MessageId.extended:
      return EXTENDED_HEAD_SIZE
    case MessageId.hashes:
      return length >= HASH_HEADER_LENGTH ? 4 + HASH_HEADER_LENGTH : HEAD_SIZE
    default:
      return HEAD_SIZE
  }
}
