/** `HttpClient` on Node. The HTTP machinery is loaded with the first request, to keep the import of the library cheap. */

import { errorCodeOf } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'
import type { HttpClient, HttpRequest, HttpRequestOptions, HttpSink, Resolver } from '../core/runtime.ts'
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
    const request = new NodeHttpRequest(sink)
    request.start(options, this.#resolver)
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

  start(options: HttpRequestOptions, resolver: Resolver): void {
    load().then(
      module => {
        if (this.#aborted) return
        this.#transfer = new module.HttpTransfer(options, this.#sink, resolver)
        if (this.#paused) this.#transfer.pause()
        this.#transfer.start()
      },
      error => {
        if (!this.#aborted) this.#sink.onError(errorCodeOf(error), Operation.exception)
      },
    )
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
