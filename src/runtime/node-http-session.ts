/** `HttpSession` on Node: keeps the connection of the last request for the next one. */

import type { HttpRequest, HttpRequestOptions, HttpSession, HttpSink } from '../core/runtime.ts'
import type { HttpLine } from './node-http-line.ts'

/** Starts a request that takes its connection from `kept`, and leaves it there. */
export type StartRequest = (options: HttpRequestOptions, sink: HttpSink, kept: KeptLine) => HttpRequest

/** Holds a connection between requests. */
export class KeptLine {
  #line: HttpLine | null = null
  #closed = false

  /** A connection to the server, if that is the one that is kept; one to another server is closed. */
  take(origin: string): HttpLine | null {
    const line = this.#line
    this.#line = null
    if (line === null || line.origin === origin) return line
    line.close()
    return null
  }

  keep(line: HttpLine): void {
    if (this.#closed) {
      line.close()
      return
    }
    this.#line?.close()
    this.#line = line
    line.use(null)
  }

  close(): void {
    this.#closed = true
    this.#line?.close()
    this.#line = null
  }
}

export class NodeHttpSession implements HttpSession {
  readonly #start: StartRequest
  readonly #kept = new KeptLine()
  #current: HttpRequest | null = null

  constructor(start: StartRequest) {
    this.#start = start
  }

  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest {
    this.#current = this.#start(options, sink, this.#kept)
    return this.#current
  }

  close(): void {
    this.#current?.abort()
    this.#kept.close()
  }
}
