/**
 * Puts every message that goes over a connection into words, for programs that want `PeerLogAlert`s.
 *
 * Made when they are wanted first and dropped when they are not: without it nothing is done per message. Messages of the
 * hash and peer exchange are left out, since those who send and handle them know more to say (`HashNotice`, `PeerPex`).
 */

import { tryBdecode } from '../bencode/bdecode.ts'
import { printEntry } from '../bencode/print-entry.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { decodeExtendedHandshake, ExtensionId } from '../wire/extended.ts'
import { decodeDontHave, decodeUploadOnly } from '../wire/lt-donthave.ts'
import { MessageDecoder } from '../wire/message-decoder.ts'
import { EXTENDED_HANDSHAKE_ID } from '../wire/messages.ts'
import { decodeUtMetadata, MetadataMessageType } from '../wire/ut-metadata.ts'
import type { WireSink } from '../wire/wire-sink.ts'
import { bitText } from './handshake-log.ts'
import type { LogNotice } from './peer-host.ts'

type Direction = 'incomingMessage' | 'outgoingMessage'

/** What a {@link MessageLog} needs of its connection. */
export interface MessageLogPort {
  /** -1 while it is not known. */
  numPieces(): number
  log(notice: LogNotice): void
}

const OUR_IDS: ReadonlyMap<number, string> = new Map(Object.entries(ExtensionId).map(([name, id]) => [id, name]))
const METADATA_TYPES: ReadonlyMap<number, string> = new Map([
  [MetadataMessageType.request, 'request'],
  [MetadataMessageType.data, 'piece'],
  [MetadataMessageType.reject, 'dont-have'],
])

/** The log of one connection, both ways. */
export class MessageLog {
  /** Logs what comes, and passes it on to the sink that was given. */
  readonly incoming: WireSink
  readonly #sent: MessageDecoder

  /** @param sink who gets the messages that come */
  constructor(sink: WireSink, port: MessageLogPort) {
    // what the peer calls its extensions, once it has said so
    const theirIds = new Map<number, string>()
    this.incoming = new LoggedMessages('incomingMessage', port, OUR_IDS, sink, theirIds)
    this.#sent = new MessageDecoder(new LoggedMessages('outgoingMessage', port, theirIds, null, null))
    this.#sent.setFastSupported(true)
    this.#sent.setProtocolV2(true)
  }

  /** Whole messages were written, but that payload of a block may follow with the next call. */
  sent(bytes: Uint8Array): void {
    this.#sent.push(bytes)
  }
}

/** Messages of one direction. */
class LoggedMessages implements WireSink {
  readonly #direction: Direction
  readonly #port: MessageLogPort
  readonly #extensions: ReadonlyMap<number, string>
  readonly #next: WireSink | null
  readonly #theirIds: Map<number, string> | null

  constructor(
    direction: Direction,
    port: MessageLogPort,
    extensions: ReadonlyMap<number, string>,
    next: WireSink | null,
    theirIds: Map<number, string> | null,
  ) {
    this.#direction = direction
    this.#port = port
    this.#extensions = extensions
    this.#next = next
    this.#theirIds = theirIds
  }

  onKeepAlive(): void {
    this.#log('keepalive')
    this.#next?.onKeepAlive()
  }

  onChoke(): void {
    this.#log('choke')
    this.#next?.onChoke()
  }

  onUnchoke(): void {
    this.#log('unchoke')
    this.#next?.onUnchoke()
  }

  onInterested(): void {
    this.#log('interested')
    this.#next?.onInterested()
  }

  onNotInterested(): void {
    this.#log('notInterested')
    this.#next?.onNotInterested()
  }

  onHave(piece: number): void {
    this.#log('have', `piece: ${signed(piece)}`)
    this.#next?.onHave(piece)
  }

  onBitfield(bits: Uint8Array): void {
    const count = this.#port.numPieces()
    this.#log('bitfield', bitText(bits).slice(0, count < 0 ? undefined : count))
    this.#next?.onBitfield(bits)
  }

  onRequest(piece: number, begin: number, length: number, count: number): void {
    for (let i = 0; i < count; i++) this.#log('request', blockText(piece, begin + i * length, length))
    this.#next?.onRequest(piece, begin, length, count)
  }

  onPieces(piece: number, begin: number, length: number, count: number, chunk: Uint8Array, at: number): number {
    const taken = this.#next === null ? count : this.#next.onPieces(piece, begin, length, count, chunk, at)
    for (let i = 0; i < taken; i++) this.#log('piece', blockText(piece, begin + i * length, length))
    return taken
  }

  onPieceHeader(piece: number, begin: number, length: number): boolean {
    return this.#next?.onPieceHeader(piece, begin, length) ?? false
  }

  onPiecePayload(chunk: Uint8Array, start: number, end: number, offset: number): void {
    this.#next?.onPiecePayload(chunk, start, end, offset)
  }

  onPieceEnd(piece: number, begin: number, length: number): void {
    this.#log('piece', blockText(piece, begin, length))
    this.#next?.onPieceEnd(piece, begin, length)
  }

  onCancel(piece: number, begin: number, length: number): void {
    const block = Math.floor(begin / BLOCK_SIZE)
    const text = `piece: ${signed(piece)} s: ${signed(begin)} l: ${signed(length)} b: ${block}`
    this.#log('cancel', this.#isOutgoing ? text : blockText(piece, begin, length))
    this.#next?.onCancel(piece, begin, length)
  }

  onDhtPort(port: number): void {
    this.#log('dhtPort', this.#isOutgoing ? `${port}` : `p: ${port}`)
    this.#next?.onDhtPort(port)
  }

  onSuggest(piece: number): void {
    this.#log('suggestPiece', `piece: ${signed(piece)}`)
    this.#next?.onSuggest(piece)
  }

  onHaveAll(): void {
    this.#log('haveAll')
    this.#next?.onHaveAll()
  }

  onHaveNone(): void {
    this.#log('haveNone')
    this.#next?.onHaveNone()
  }

  onReject(piece: number, begin: number, length: number): void {
    const text = `piece: ${signed(piece)} | s: ${signed(begin)} | l: ${signed(length)}`
    this.#log('reject', this.#isOutgoing ? text : blockText(piece, begin, length))
    this.#next?.onReject(piece, begin, length)
  }

  onAllowedFast(piece: number): void {
    this.#log('allowedFast', `${signed(piece)}`)
    this.#next?.onAllowedFast(piece)
  }

  onExtendedHeader(id: number, length: number): boolean {
    return this.#next?.onExtendedHeader(id, length) ?? true
  }

  onExtended(id: number, payload: Uint8Array): void {
    if (id === EXTENDED_HANDSHAKE_ID) this.#logHandshake(payload)
    else this.#logExtension(id, payload)
    this.#next?.onExtended(id, payload)
  }

  onHashRequest(request: Parameters<WireSink['onHashRequest']>[0]): void {
    this.#next?.onHashRequest(request)
  }

  onHashes(request: Parameters<WireSink['onHashes']>[0], hashes: Uint8Array): void {
    this.#next?.onHashes(request, hashes)
  }

  onHashReject(request: Parameters<WireSink['onHashReject']>[0]): void {
    this.#next?.onHashReject(request)
  }

  onUnknownHeader(id: number, length: number): boolean {
    return this.#next?.onUnknownHeader(id, length) ?? true
  }

  onUnknown(id: number, payload: Uint8Array): void {
    this.#next?.onUnknown(id, payload)
  }

  onProtocolError(error: ErrorCode): void {
    this.#next?.onProtocolError(error)
  }

  get #isOutgoing(): boolean {
    return this.#direction === 'outgoingMessage'
  }

  #log(event: LogNotice['event'], text = ''): void {
    this.#port.log({ kind: 'log', direction: this.#direction, event, text })
  }

  #logHandshake(payload: Uint8Array): void {
    this.#log('extendedHandshake', printEntry(tryBdecode(payload, { depth: 10, tokens: 1000 }).node, true))
    const handshake = this.#theirIds === null ? null : decodeExtendedHandshake(payload)
    for (const [name, id] of handshake?.ids ?? []) this.#theirIds?.set(id, name)
  }

  #logExtension(id: number, payload: Uint8Array): void {
    switch (this.#extensions.get(id)) {
      case 'ut_pex':
        return
      case 'ut_metadata': {
        const message = decodeUtMetadata(payload)
        if (message === null) this.#log('utMetadata', 'missing or invalid keys')
        else this.#log('utMetadata', this.#metadataText(message.type, message.part))
        return
      }
      case 'upload_only': {
        const on = decodeUploadOnly(payload)
        if (on === null) this.#log('uploadOnly', `ERROR: unexpected packet size: ${payload.length + 2}`)
        else this.#log('uploadOnly', this.#isOutgoing ? `${Number(on)}` : `${on}`)
        return
      }
      case 'lt_donthave': {
        const piece = decodeDontHave(payload)
        if (piece === null) this.#log('dontHave', `ERROR: unexpected packet size: ${payload.length + 2}`)
        else this.#log('dontHave', `piece: ${signed(piece)}`)
        return
      }
      default:
        this.#log('extensionMessage', `msg: ${id} size: ${payload.length + 2}`)
    }
  }

  #metadataText(type: number, part: number): string {
    return this.#isOutgoing
      ? `type: ${type} (${METADATA_TYPES.get(type) ?? ''}) piece: ${part}`
      : `type: ${type} piece: ${part}`
  }
}

/** As libtorrent shows what it reads: pieces and offsets are signed there. */
function signed(n: number): number {
  return n | 0
}

/** Offsets and lengths of blocks are round in hexadecimal. */
function blockText(piece: number, begin: number, length: number): string {
  return `piece: ${signed(piece)} s: ${begin.toString(16)} l: ${length.toString(16)}`
}
