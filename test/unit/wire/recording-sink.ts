import { bytesToHex } from '../../../src/core/bytes.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import type { HashRequest } from '../../../src/wire/hash-messages.ts'
import type { WireSink } from '../../../src/wire/wire-sink.ts'

/** Writes one line per message; the payload of a block is checked for gaps and shown with its end. */
export class RecordingSink implements WireSink {
  readonly log: string[] = []
  /** Answers, to be changed by a test. */
  wantsBlock = true
  takesBlocks = 0
  wantsExtended = true
  wantsUnknown = false
  /** Called before each line is written. */
  onEvent: (line: string) => void = () => {}
  #payload: number[] = []

  #say(line: string): void {
    this.onEvent(line)
    this.log.push(line)
  }

  onKeepAlive(): void {
    this.#say('keep-alive')
  }
  onChoke(): void {
    this.#say('choke')
  }
  onUnchoke(): void {
    this.#say('unchoke')
  }
  onInterested(): void {
    this.#say('interested')
  }
  onNotInterested(): void {
    this.#say('not interested')
  }
  onHave(piece: number): void {
    this.#say(`have ${piece}`)
  }
  onBitfield(bits: Uint8Array): void {
    this.#say(`bitfield ${bytesToHex(bits)}`)
  }
  onRequest(piece: number, begin: number, length: number, count: number): void {
    for (let i = 0; i < count; i++) this.#say(`request ${piece} ${begin + i * length} ${length}`)
  }
  /** Takes at most `takesBlocks` of them, and says of each what it would have said had it come by itself. */
  onPieces(piece: number, begin: number, length: number, count: number, chunk: Uint8Array, at: number): number {
    const taken = Math.min(count, this.takesBlocks)
    for (let i = 0; i < taken; i++) {
      const start = at + i * (13 + length) + 13
      this.onPieceHeader(piece, begin + i * length, length)
      this.onPiecePayload(chunk, start, start + length, 0)
      this.onPieceEnd(piece, begin + i * length, length)
    }
    return taken
  }
  onPieceHeader(piece: number, begin: number, length: number): boolean {
    this.#payload = []
    this.#say(`piece ${piece} ${begin} ${length}`)
    return this.wantsBlock
  }
  onPiecePayload(chunk: Uint8Array, start: number, end: number, offset: number): void {
    if (offset !== this.#payload.length || end <= start) throw new Error(`gap at ${offset}`)
    for (let i = start; i < end; i++) this.#payload.push(chunk[i]!)
  }
  onPieceEnd(piece: number, begin: number, length: number): void {
    this.#say(`piece end ${piece} ${begin} ${length} ${bytesToHex(Uint8Array.from(this.#payload))}`)
  }
  onCancel(piece: number, begin: number, length: number): void {
    this.#say(`cancel ${piece} ${begin} ${length}`)
  }
  onDhtPort(port: number): void {
    this.#say(`port ${port}`)
  }
  onSuggest(piece: number): void {
    this.#say(`suggest ${piece}`)
  }
  onHaveAll(): void {
    this.#say('have all')
  }
  onHaveNone(): void {
    this.#say('have none')
  }
  onReject(piece: number, begin: number, length: number): void {
    this.#say(`reject ${piece} ${begin} ${length}`)
  }
  onAllowedFast(piece: number): void {
    this.#say(`allowed fast ${piece}`)
  }
  onExtendedHeader(id: number, length: number): boolean {
    this.#say(`extended header ${id} ${length}`)
    return this.wantsExtended
  }
  onExtended(id: number, payload: Uint8Array): void {
    this.#say(`extended ${id} ${bytesToHex(payload)}`)
  }
  onHashRequest(request: HashRequest): void {
    this.#say(`hash request ${describe(request)}`)
  }
  onHashes(request: HashRequest, hashes: Uint8Array): void {
    this.#say(`hashes ${describe(request)} ${bytesToHex(hashes)}`)
  }
  onHashReject(request: HashRequest): void {
    this.#say(`hash reject ${describe(request)}`)
  }
  onUnknownHeader(id: number, length: number): boolean {
    this.#say(`unknown header ${id} ${length}`)
    return this.wantsUnknown
  }
  onUnknown(id: number, payload: Uint8Array): void {
    this.#say(`unknown ${id} ${bytesToHex(payload)}`)
  }
  onProtocolError(error: ErrorCode): void {
    this.#say(`error ${error}`)
  }
}

function describe(r: HashRequest): string {
  return `${bytesToHex(r.root)} ${r.base} ${r.index} ${r.count} ${r.proofLayers}`
}
