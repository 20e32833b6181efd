/** `HttpSession` on Node: its requests share a connection. */

import type { HttpRequest, HttpRequestOptions, HttpSession, HttpSink } from '../core/runtime.ts'
import type { HttpLine } from './node-http-line.ts'

/** Starts a request over the connection of a session. */
export type StartRequest = (options: HttpRequestOptions, sink: HttpSink, kept: KeptLine) => HttpRequest

/** The connection of a session. */
export class KeptLine {
  readonly pipelining: number
  #line: HttpLine | null = null
  #closed = false

  constructor(pipelining: number) {
    this.pipelining = pipelining
  }

  /** The connection to a server. One to another server is let go. @param make makes one */
  lineTo(origin: string, make: () => HttpLine): HttpLine {
    const line = this.#line
    if (line !== null && !line.closed && line.origin === origin) return line
    if (line?.isUsed === false) line.close()
    this.#line = make()
    return this.#line
  }

  /** A request on it is over. */
  left(line: HttpLine): void {
    if (!line.isUsed && (this.#closed || line !== this.#line)) line.close()
  }

  close(): void {
    this.#closed = true
    if (this.#line?.isUsed === false) this.#line.close()
    this.#line = null
  }
}

export class NodeHttpSession implements HttpSession {
  readonly #start: StartRequest
  readonly #kept: KeptLine
  /** Those that may be under way; aborting one that is over does nothing. */
  #requests: HttpRequest[] = []

  constructor(pipelining: number, start: StartRequest) {
    this.#kept = new KeptLine(pipelining)
    this.#start = start
  }

  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest {
    const request = this.#start(options, sink, this.#kept)
    this.#requests.push(request)
    if (this.#requests.length > this.#kept.pipelining) this.#requests.shift()
    return request
  }

  close(): void {
    for (const request of this.#requests.splice(0)) request.abort()
    this.#kept.close()
  }
}
