/** Puts what goes to and comes from a web server into words, for programs that want `PeerLogAlert`s. */

import type { HttpHead, HttpRequestOptions } from '../core/runtime.ts'
import type { LogNotice } from './peer-host.ts'
import { type AnswerVerdict, contentRange } from './web-seed-answer.ts'

/** Where the lines go. */
export interface WebSeedLogPort {
  readonly logsMessages: boolean
  logMessage(notice: LogNotice): void
}

/** A range of a file, `end` exclusive. */
interface FileRange {
  readonly file: number
  readonly start: number
  readonly end: number
}

/** The log of one link. */
export class WebSeedLog {
  readonly #port: WebSeedLogPort

  constructor(port: WebSeedLogPort) {
    this.#port = port
  }

  begun(url: string): void {
    this.#log('info', 'webSeed', `web_peer_connection ${url}`)
  }

  closed(): void {
    this.#log('info', 'webSeed', 'CLOSED')
  }

  /** Blocks in a row that are fetched together: from the first to the end of the last. */
  blocks(piece: number, begin: number, lastPiece: number, lastEnd: number): void {
    const text = `(piece: ${piece} start: ${begin}) - (piece: ${lastPiece} end: ${lastEnd})`
    this.#log('outgoingMessage', 'request', text)
  }

  request({ url, method, headers }: HttpRequestOptions): void {
    if (!this.#port.logsMessages) return
    const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${secretOf(name) ?? value}`)
    this.#log('outgoingMessage', 'request', [`${method ?? 'GET'} ${url}`, ...lines].join('\r\n'))
  }

  answer(head: HttpHead, verdict: AnswerVerdict, range: FileRange): void {
    if (!this.#port.logsMessages) return
    this.#log('info', 'status', `${head.status} ${head.statusText}`)
    for (const [name, value] of Object.entries(head.headers)) this.#log('info', 'status', `   ${name}: ${value}`)
    if (verdict.kind === 'redirect') this.#log('info', 'location', verdict.location)
    else if (verdict.kind === 'refused') {
      this.#log('info', 'missingFile', `http-code: ${head.status} | file: ${range.file}`)
    } else if (verdict.kind === 'wrong') this.#log('incoming', 'invalidHttpResponse', wrongText(head, range))
  }

  tooShort(received: number, size: number): void {
    this.#log('incoming', 'invalidHttpResponse', `received body: ${received} request size: ${size}`)
  }

  payload(bytes: number): void {
    this.#log('incomingMessage', 'incomingPayload', `${bytes} bytes`)
  }

  padding(file: number, start: number, size: number): void {
    this.#log('info', 'handlePadfile', `file: ${file} start: ${start} len: ${size}`)
  }

  /** The last byte of a block is here. */
  blockDone(piece: number, begin: number, length: number): void {
    this.#log('incomingMessage', 'popRequest', `piece: ${piece} start: ${begin} len: ${length}`)
  }

  #log(direction: LogNotice['direction'], event: LogNotice['event'], text: string): void {
    if (this.#port.logsMessages) this.#port.logMessage({ kind: 'log', direction, event, text })
  }
}

function wrongText(head: HttpHead, { file, start, end }: FileRange): string {
  const got = contentRange(head.headers['content-range'])
  const range = got === null ? 'none' : `${file}, ${got.start}-${got.end - 1}`
  return `in=(${range}) expected=(${file}, ${start}-${end - 1})`
}

/** A log may be shown to others. */
function secretOf(name: string): string | null {
  return /^(proxy-)?authorization$/i.test(name) ? '(not shown)' : null
}
