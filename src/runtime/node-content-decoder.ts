/** Decompression of HTTP bodies, bounded, with back-pressure. */

import { createGunzip, createInflate, createInflateRaw, type Gunzip } from 'node:zlib'
import { ErrorCode, gzipCategory } from '../core/error-code.ts'
import { GzipErrors } from '../core/error-table.ts'

export interface DecoderSink {
  onData(chunk: Uint8Array): void
  /** `full` was true and is no longer. */
  onRoom(): void
  onEnd(): void
  onError(error: ErrorCode): void
}

const NAMES = new Set(['gzip', 'x-gzip', 'deflate'])

/** What zlib complains about, and libtorrent's number for it. */
const COMPLAINTS: readonly (readonly [text: string, value: number])[] = [
  ['incorrect header check', GzipErrors.invalidGzipHeader],
  ['unknown compression method', GzipErrors.invalidGzipHeader],
  ['unexpected end of file', GzipErrors.dataDidNotTerminate],
  ['invalid block type', GzipErrors.invalidBlockType],
  ['invalid stored block lengths', GzipErrors.invalidStoredBlockLength],
  ['too many length or distance symbols', GzipErrors.tooManyLengthOrDistanceCodes],
  ['invalid code lengths set', GzipErrors.codeLengthsCodesIncomplete],
  ['invalid bit length repeat', GzipErrors.repeatMoreThanSpecifiedLengths],
  ['invalid literal/lengths set', GzipErrors.invalidLiteralLengthCodeLengths],
  ['invalid distances set', GzipErrors.invalidDistanceCodeLengths],
  ['invalid literal/length code', GzipErrors.invalidLiteralCodeInBlock],
  ['invalid distance code', GzipErrors.invalidLiteralCodeInBlock],
  ['invalid distance too far back', GzipErrors.distanceTooFarBackInBlock],
]

export class ContentDecoder {
  readonly #sink: DecoderSink
  readonly #stream: Gunzip
  readonly #limit: number
  #bytes = 0
  #full = false
  #cancelled = false

  /** @returns true if `encoding` is one this class undoes */
  static knows(encoding: string): boolean {
    return NAMES.has(encoding)
  }

  /**
   * @param firstByte of the body: "deflate" is sent with and without a zlib header
   * @param limit     decoded bytes beyond it are `inflatedDataTooLarge`
   */
  constructor(encoding: string, firstByte: number, limit: number, sink: DecoderSink) {
    this.#sink = sink
    this.#limit = limit
    this.#stream =
      encoding !== 'deflate' ? createGunzip() : (firstByte & 0x0f) === 8 ? createInflate() : createInflateRaw()
    this.#stream.on('data', this.#onData)
    this.#stream.on('drain', () => {
      this.#full = false
      if (!this.#cancelled) sink.onRoom()
    })
    this.#stream.on('end', () => {
      if (!this.#cancelled) sink.onEnd()
    })
    this.#stream.on('error', error => this.#fail(complaint(error)))
  }

  /** True while more input is waiting than zlib wants to hold. */
  get full(): boolean {
    return this.#full
  }

  /** @param chunk kept until zlib, on another thread, has read it */
  write(chunk: Uint8Array): void {
    if (!this.#stream.write(chunk)) this.#full = true
  }

  end(): void {
    this.#stream.end()
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  cancel(): void {
    this.#cancelled = true
    this.#stream.destroy()
  }

  readonly #onData = (chunk: Uint8Array) => {
    if (this.#cancelled) return
    this.#bytes += chunk.length
    if (this.#bytes > this.#limit) this.#fail(new ErrorCode(GzipErrors.inflatedDataTooLarge, gzipCategory()))
    else this.#sink.onData(chunk)
  }

  #fail(error: ErrorCode): void {
    if (this.#cancelled) return
    this.cancel()
    this.#sink.onError(error)
  }
}

function complaint(error: Error): ErrorCode {
  for (const [text, value] of COMPLAINTS) if (error.message.includes(text)) return new ErrorCode(value, gzipCategory())
  return new ErrorCode(GzipErrors.unknownGzipError, gzipCategory())
}
