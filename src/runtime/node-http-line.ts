/** One HTTP connection, which may serve several requests in turn, and the place where it is kept between them. */

import type { Socket } from 'node:net'
import { Client } from 'undici'
import type { GatedSocket } from './node-gated-socket.ts'
import type { HttpConnection } from './node-http-connection.ts'

/** Gives `undici` its socket, or says that there is none. */
export type GiveSocket = (error: Error | null, socket: Socket | null) => void

/** A request that uses a line. */
export interface LineUser {
  /** The line needs a socket: it has none yet, or the server has closed it. */
  openLine(line: HttpLine, give: GiveSocket): void
}

/** How long an unused connection is kept, if the server does not say. */
const IDLE_MS = 60_000

export class HttpLine {
  readonly client: Client
  readonly origin: string
  gate: GatedSocket | null = null
  connection: HttpConnection | null = null
  #user: LineUser | null

  constructor(origin: string, user: LineUser) {
    this.origin = origin
    this.#user = user
    this.client = new Client(origin, {
      connect: (_where, give) => {
        // Both callback shapes are the same to it: an error, or a socket.
        const answer = give as GiveSocket
        if (this.#user === null) answer(new Error('not in use'), null)
        else this.#user.openLine(this, answer)
      },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
    })
  }

  /** Whether the last answer left a connection that the next request can use. */
  get isOpen(): boolean {
    return this.gate !== null && !this.gate.destroyed
  }

  /** @param user `null`: nobody; the server may still close the connection */
  use(user: LineUser | null): void {
    this.#user = user
    this.gate?.open()
  }

  close(): void {
    this.#user = null
    this.connection?.cancel()
    this.connection = null
    this.gate = null
    this.client.destroy(null, ignore)
  }
}

function ignore(): void {}
