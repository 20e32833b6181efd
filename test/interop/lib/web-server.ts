/** A plain web server that has a directory, understands ranges, and writes down what it is asked. */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'

export interface Asked {
  /** As it stood in the request line. */
  readonly url: string
  readonly headers: IncomingMessage['headers']
  /** End exclusive; the whole file if no range was asked for. */
  readonly start: number
  readonly end: number
}

export class WebServer {
  readonly asked: Asked[] = []
  connections = 0
  /** Answers instead of the directory, if it returns true. */
  respond: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null
  readonly #root: string
  readonly #server: Server
  readonly #secure: boolean
  readonly #sockets = new Set<Socket>()

  /** @param tls key and certificate, for https */
  constructor(root: string, tls: { readonly key: string; readonly cert: string } | null = null) {
    this.#root = root
    const serve = (request: IncomingMessage, response: ServerResponse) => this.#serve(request, response)
    this.#secure = tls !== null
    this.#server = tls === null ? createServer(serve) : createTlsServer(tls, serve)
    this.#server.on('connection', socket => {
      this.connections++
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(
    root: string,
    tls: { readonly key: string; readonly cert: string } | null = null,
  ): Promise<WebServer> {
    const server = new WebServer(root, tls)
    await new Promise<void>(resolve => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get origin(): string {
    return `${this.#secure ? 'https' : 'http'}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The different paths that were asked for, sorted. */
  get paths(): string[] {
    return [...new Set(this.asked.map(({ url }) => url))].sort()
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? ''
    const path = join(this.#root, decodeURIComponent(url.split('?')[0]!))
    const size = existsSync(path) && statSync(path).isFile() ? statSync(path).size : -1
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    const start = Number(range?.[1] ?? 0)
    const end = range === null ? size : Number(range[2]) + 1
    this.asked.push({ url, headers: request.headers, start, end })
    if (this.respond?.(request, response) === true) return
    if (size < 0 || end > size) {
      response.writeHead(size < 0 ? 404 : 416).end('no')
      return
    }
    response.writeHead(range === null ? 200 : 206, {
      'content-length': end - start,
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    })
    createReadStream(path, { start, end: end - 1 }).pipe(response)
  }
}
