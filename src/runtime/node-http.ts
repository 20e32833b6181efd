/** `HttpClient` on Node. The HTTP machinery is loaded with the first request, to keep the import of the library cheap. */

import { errorCodeOf } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'
import type { HttpClient, HttpRequest, HttpRequestOptions, HttpSession, HttpSink, Resolver } from '../core/runtime.ts'
import { type KeptLine, NodeHttpSession } from './node-http-session.ts'
import type { HttpTransfer } from './node-http-transfer.ts'

type TransferModule = typeof import('./node-http-transfer.ts')

let loading: Promise<TransferModule> | null = null

function load(): Promise<TransferModule> {
  loading ??= import('./node-http-transfer.ts')
  return loading
}

export class NodeHttpClient implements HttpClient {
  readonly #resolver: Resolver

  constructor(resolver: Resolver) {
    this.#resolver = resolver
  }

  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest {
    return this.#start(options, sink, null)
  }

  session(pipelining = 1): HttpSession {
    return new NodeHttpSession(Math.max(1, pipelining), (options, sink, kept) => this.#start(options, sink, kept))
  }

  #start(options: HttpRequestOptions, sink: HttpSink, kept: KeptLine | null): HttpRequest {
    const request = new NodeHttpRequest(sink)
    request.start(options, this.#resolver, kept)
    return request
  }
}

class NodeHttpRequest implements HttpRequest {
  readonly #sink: HttpSink
  #transfer: HttpTransfer | null = null
  #paused = false
  #aborted = false

  constructor(sink: HttpSink) {
    this.#sink = sink
  }

  start(options: HttpRequestOptions, resolver: Resolver, kept: KeptLine | null): void {
    load()
      .then(module => {
        if (this.#aborted) return
        this.#transfer = new module.HttpTransfer(options, this.#sink, resolver, kept)
        if (this.#paused) this.#transfer.pause()
        this.#transfer.start()
      })
      .catch(error => {
        if (this.#aborted) return
        this.#transfer?.abort()
        this.#sink.onError(errorCodeOf(error), Operation.exception)
      })
  }

  pause(): void {
    this.#paused = true
    this.#transfer?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#transfer?.resume()
  }

  abort(): void {
    this.#aborted = true
    this.#transfer?.abort()
  }
}
