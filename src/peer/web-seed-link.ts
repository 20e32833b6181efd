/**
 * The link to a web server, which to the connection above it is a seed: requests for blocks become requests for ranges of
 * files, and what comes is handed up as blocks.
 *
 * Blocks in a row are fetched together, one HTTP request per file they touch, over one connection; several requests are on
 * their way at a time while they are small. Pad files are not asked for: they are zeros. What is said to a peer and means
 * nothing to a server goes nowhere.
 *
 * Deviation: libtorrent keeps the part of a block that was there when a connection broke.
 *
 * @see BEP 19, BEP 47 (pad files)
 */

import { ByteWriter } from '../core/byte-writer.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { SocketType } from '../core/enums.ts'
import { type ErrorCode, errnoError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import { RingQueue } from '../core/ring-queue.ts'
import type { HttpHead, HttpRequest, HttpRequestOptions, HttpSession, HttpSink } from '../core/runtime.ts'
import type { TurnEffect } from '../core/turn.ts'
import type { HandshakeFeatures } from '../wire/handshake.ts'
import type { PeerSession } from './peer-host.ts'
import { Severity } from './peer-host.ts'
import type { PeerLink, PeerLinkOwner } from './peer-link.ts'
import { judgeAnswer } from './web-seed-answer.ts'
import { WebSeedLog } from './web-seed-log.ts'
import type { LinkEnd, WebSeedServer } from './web-seed-server.ts'

/** What a web seed's link does to its connection. */
export interface WebSeedLinkOwner extends PeerLinkOwner {
  protocolV2: boolean
  clientVersion: Uint8Array
  disconnect(error: ErrorCode, operation: Operation, how: Severity): void
}

/** A block that was asked for. */
interface Ask {
  readonly piece: number
  readonly begin: number
  readonly length: number
}

/** A range of a file. */
interface Part {
  readonly file: number
  readonly start: number
  readonly size: number
  readonly padding: boolean
  received: number
  request: HttpRequest | null
}

/** Bytes of a request line and of what HTTP clients add by themselves, for the statistics. */
const REQUEST_OVERHEAD = 100
const NO_ADDRESS: Endpoint = ['0.0.0.0', 0]
const PEER_ID_SIZE = 20
const ZEROS = new Uint8Array(16 * 1024)
/** With more than that to come, no further request is sent ahead: blocks may turn out not to be wanted. */
const AHEAD_BYTES = 4 * 1024 * 1024
/** Longer names of servers are cut. */
const MAX_SERVER_NAME = 255
const TOO_LONG = errnoError('EFBIG').value()

export class WebSeedLink implements PeerLink, TurnEffect {
  readonly kind: SocketType
  readonly local = NO_ADDRESS
  readonly mergesRequests = true
  readonly unsentBytes = 0
  readonly holdsBytes = false
  readonly #server: WebSeedServer
  readonly #owner: WebSeedLinkOwner
  readonly #session: PeerSession
  readonly #http: HttpSession
  readonly #pipelining: number
  readonly #log: WebSeedLog
  /** Messages that a client would get. */
  readonly #unheard = new ByteWriter()
  /** Asked for by the connection, not yet of the server. */
  #waiting: Ask[] = []
  /** Being fetched, in the order in which they come; the first of them is the one that arrives. */
  readonly #coming = new RingQueue<Ask>()
  /** Bytes of that block that are here. */
  #blockReceived = 0
  #blockWanted = false
  /** The ranges of files that these blocks are in; the first is being received. */
  readonly #parts = new RingQueue<Part>()
  /** How many of the parts the server was asked for, pad files counted with them. */
  #requested = 0
  /** HTTP requests on their way, and their bytes that are not here yet. */
  #onTheWay = 0
  #bytesOnTheWay = 0
  #asked = false
  #flushQueued = false
  #paused = false
  #closed = false

  constructor(server: WebSeedServer, owner: WebSeedLinkOwner, session: PeerSession) {
    this.#server = server
    this.#owner = owner
    this.#session = session
    this.#log = new WebSeedLog(owner)
    this.#pipelining = Math.max(1, server.pipelining)
    this.#http = server.openSession(this.#pipelining)
    this.kind = server.secure ? SocketType.tcpSsl : SocketType.tcp
    owner.clientVersion = encodeName(server.hostName)
    this.#log.begun(server.url)
    // a connection is made with the first request: here the server is taken to be there
    session.turn.later(() => this.#guard(() => owner.linkConnected()))
  }

  /** What is half here. Nothing that comes is checked by it: there are no messages. */
  readonly decoder = {
    bufferedCapacity: 0,
    blockReceived: 0,
    setNumPieces(): void {},
    setProtocolV2(): void {},
    setFastSupported(): void {},
  }

  /** The server answers the handshake as a seed with no extensions would. */
  writeHandshake(_features: HandshakeFeatures, infoHash: Uint8Array): void {
    this.#session.turn.later(() => this.#guard(() => this.#greet(infoHash)))
  }

  out(): ByteWriter {
    this.#unheard.clear()
    return this.#unheard
  }

  outWithNext(): ByteWriter {
    return this.out()
  }

  write(): void {}

  writeBlock(_views: readonly Uint8Array[], release: () => void): void {
    release()
  }

  resumeSending(): void {}

  request(piece: number, begin: number, length: number): void {
    this.#waiting.push({ piece, begin, length })
    this.#wantFlush()
  }

  /** What the server was not asked for yet is rejected, as a client would do. */
  cancel(piece: number, begin: number, length: number): void {
    const at = this.#waiting.findIndex(ask => ask.piece === piece && ask.begin === begin)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    this.#session.turn.later(() => this.#guard(() => this.#owner.onReject(piece, begin, length)))
  }

  pause(): void {
    this.#paused = true
    for (const part of this.#parts) part.request?.pause()
  }

  resume(): void {
    this.#paused = false
    for (const part of this.#parts) part.request?.resume()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#log.closed()
    this.#waiting = []
    this.#coming.clear()
    this.#parts.clear()
    this.#http.close()
  }

  endOfTurn(): void {
    this.#flushQueued = false
    this.#guard(() => this.#advance())
  }

  // ---- what the server says ----------------------------------------------------------------------

  #sink(part: Part): HttpSink {
    return {
      onHead: head => this.#turn(() => this.#onHead(part, head)),
      onData: chunk => this.#turn(() => this.#onData(part, chunk)),
      onEnd: () => this.#turn(() => this.#onEnd(part)),
      onError: (error, operation) => this.#turn(() => this.#onError(error, operation)),
    }
  }

  #onHead(part: Part, head: HttpHead): void {
    this.#owner.linkReceived(0, headSize(head))
    if (this.#closed) return
    const server = this.#server
    const range = { file: part.file, start: part.start, end: part.start + part.size }
    const verdict = judgeAnswer(head, range.start, range.end)
    this.#log.answer(head, verdict, range)
    if (verdict.kind === 'redirect') this.#end(server.redirected(part.file, head, verdict.location))
    else if (verdict.kind === 'refused') this.#end(server.refused(part.file, head))
    else if (verdict.kind === 'wrong') {
      const error = libtorrentError(verdict.error)
      this.#end(verdict.fatal ? server.unusable(error) : { error, severity: Severity.peerError })
    } else this.#owner.clientVersion = encodeName(head.headers['server'] ?? server.hostName)
  }

  #onData(part: Part, chunk: Uint8Array): void {
    // the HTTP client lets no more through than was asked for
    part.received += chunk.length
    this.#bytesOnTheWay -= chunk.length
    this.#log.payload(chunk.length)
    this.#deliver(chunk)
    this.#owner.linkReceived(chunk.length, 0)
  }

  #onEnd(part: Part): void {
    part.request = null
    this.#onTheWay--
    if (part.received < part.size) {
      this.#log.tooShort(part.received, part.size)
      this.#end({ error: libtorrentError(LibtorrentErrors.invalidRange), severity: Severity.peerError })
      return
    }
    this.#parts.shift()
    this.#requested--
    this.#advance()
  }

  #onError(error: ErrorCode, operation: Operation): void {
    const severity = severityOf(error, operation)
    if (this.#onTheWay > 1 && isTraffic(operation)) this.#server.brokeInPipeline()
    if (operation === Operation.sockRead && error.is(LibtorrentErrors.timedOut)) {
      this.#end({ error: libtorrentError(LibtorrentErrors.timedOutInactivity), severity })
    } else if (operation === Operation.sockRead && error.value() === TOO_LONG) {
      this.#end({ error: libtorrentError(LibtorrentErrors.invalidRange), severity: Severity.peerError })
    } else this.#owner.disconnect(error, operation, severity)
  }

  // ---- what was asked for --------------------------------------------------------------------------

  #greet(infoHash: Uint8Array): void {
    const owner = this.#owner
    owner.onInfoHash(new Uint8Array(8), infoHash)
    if (this.#closed) return
    // there are no hashes to be had from it
    owner.protocolV2 = false
    const id = new Uint8Array(PEER_ID_SIZE)
    this.#session.rng.fill(id)
    owner.onPeerId(id)
    if (this.#closed) return
    const { pieces } = this.#server
    if (pieces === 'all') owner.onHaveAll()
    else if (pieces.noneSet()) owner.onHaveNone()
    else owner.onBitfield(pieces.data())
    if (!this.#closed) owner.onUnchoke()
  }

  #wantFlush(): void {
    if (this.#flushQueued || this.#closed) return
    this.#flushQueued = true
    this.#session.turn.atEnd(this)
  }

  /** Hands up what need not be fetched, and asks for what is next. */
  #advance(): void {
    do {
      this.#fillPadding()
    } while (!this.#closed && this.#askMore())
  }

  /** The part that is to come first is padding: it is here. */
  #fillPadding(): void {
    while (!this.#closed && this.#requested > 0 && this.#parts.peek()!.padding) {
      const { file, start, size } = this.#parts.shift()!
      this.#requested--
      this.#log.padding(file, start, size)
      for (let left = size; left > 0 && !this.#closed; left -= ZEROS.length) {
        this.#deliver(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left))
      }
    }
  }

  /** @returns true if there was room for a part more, and one to ask for */
  #askMore(): boolean {
    if (this.#onTheWay >= this.#pipelining || (this.#onTheWay > 0 && this.#bytesOnTheWay >= AHEAD_BYTES)) return false
    if (this.#requested === this.#parts.length && !this.#nextRun()) return false
    const part = this.#parts.at(this.#requested++)!
    if (!part.padding) this.#fetch(part)
    return true
  }

  /** Takes up the blocks that wait: those in a row together. @returns false if there are none */
  #nextRun(): boolean {
    const { files, contiguousBlocks } = this.#server
    const pieceLength = files.pieceLength()
    const first = this.#waiting[0]
    if (first === undefined) return false
    const start = first.piece * pieceLength + first.begin
    let end = start
    let count = 0
    for (const ask of this.#waiting) {
      if (count === contiguousBlocks || ask.piece * pieceLength + ask.begin !== end) break
      end += ask.length
      count++
    }
    const last = this.#waiting[count - 1]!
    this.#log.blocks(first.piece, first.begin, last.piece, last.begin + last.length)
    for (const ask of this.#waiting.splice(0, count)) this.#coming.push(ask)
    for (const { fileIndex, offset, size } of files.mapBlock(first.piece, first.begin, end - start)) {
      if (size === 0) continue
      const padding = files.padFileAt(fileIndex)
      this.#parts.push({ file: fileIndex, start: offset, size, padding, received: 0, request: null })
    }
    return true
  }

  #fetch(part: Part): void {
    const options = this.#server.request(part.file, part.start, part.start + part.size, !this.#asked)
    this.#asked = true
    this.#log.request(options)
    this.#onTheWay++
    this.#bytesOnTheWay += part.size
    part.request = this.#http.request(options, this.#sink(part))
    if (this.#paused) part.request.pause()
    this.#owner.linkSent(0, requestSize(options))
  }

  /** Hands up bytes of the blocks that come. */
  #deliver(bytes: Uint8Array): void {
    const owner = this.#owner
    for (let from = 0; from < bytes.length && !this.#closed; ) {
      const ask = this.#coming.peek()
      if (ask === undefined) return
      const { piece, begin, length } = ask
      if (this.#blockReceived === 0) {
        this.#blockWanted = owner.onPieceHeader(piece, begin, length)
        if (this.#closed) return
      }
      const offset = this.#blockReceived
      const to = Math.min(bytes.length, from + length - offset)
      if (this.#blockWanted) owner.onPiecePayload(bytes, from, to, offset)
      this.#blockReceived = offset + to - from
      this.decoder.blockReceived = this.#blockReceived
      from = to
      if (this.#blockReceived < length) continue
      this.#blockReceived = 0
      this.#coming.shift()
      this.#log.blockDone(piece, begin, length)
      owner.onPieceEnd(piece, begin, length)
    }
  }

  #end(end: LinkEnd): void {
    this.#owner.disconnect(end.error, Operation.bittorrent, end.severity)
  }

  /** An event of the HTTP client. */
  #turn(fn: () => void): void {
    if (this.#closed) return
    const { turn } = this.#session
    turn.enter()
    this.#guard(fn)
    turn.leave()
  }

  #guard(fn: () => void): void {
    if (this.#closed) return
    try {
      fn()
    } catch (error) {
      this.#owner.linkCrashed(error)
    }
  }
}

/** A server that ends a connection is asked again at once; one that cannot be reached, or is no web server, later. */
function severityOf(error: ErrorCode, operation: Operation): Severity {
  if (error.is(LibtorrentErrors.httpParseError)) return Severity.peerError
  return isTraffic(operation) ? Severity.normal : Severity.failure
}

function isTraffic(operation: Operation): boolean {
  return operation === Operation.sockRead || operation === Operation.sockWrite
}

function headSize(head: HttpHead): number {
  let size = 'HTTP/1.1 200 \r\n\r\n'.length + head.statusText.length
  for (const [name, value] of Object.entries(head.headers)) size += name.length + value.length + 4
  return size
}

function requestSize(options: HttpRequestOptions): number {
  let size = options.url.length + REQUEST_OVERHEAD
  for (const [name, value] of Object.entries(options.headers ?? {})) size += name.length + value.length + 4
  return size
}

function encodeName(name: string): Uint8Array {
  return new TextEncoder().encode(name.slice(0, MAX_SERVER_NAME))
}
