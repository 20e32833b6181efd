/** One HTTP connection, and the requests that use it: one after the other, or several on their way at a time. */

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
  /** The answers before its own are over. */
  nextInLine(line: HttpLine): void
  /** The line was closed for another request. */
  lineLost(): void
}

/** How long an unused connection is kept, if the server does not say. */
const IDLE_MS = 60_000

export class HttpLine {
  readonly client: Client
  readonly origin: string
  gate: GatedSocket | null = null
  connection: HttpConnection | null = null
  closed = false
  /** In the order of their answers. */
  readonly #users: LineUser[] = []

  /** @param pipelining how many requests may be on their way at a time */
  constructor(origin: string, pipelining = 1) {
    this.origin = origin
    this.client = new Client(origin, {
      connect: (_where, give) => {
        // Both callback shapes are the same to it: an error, or a socket.
        const answer = give as GiveSocket
        const user = this.#users[0]
        if (user === undefined) answer(Object.assign(new Error('not in use'), { code: 'UND_ERR_DESTROYED' }), null)
        else user.openLine(this, answer)
      },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      pipelining,
    })
  }

  /** There is a connection, as far as is known. */
  get isOpen(): boolean {
    return this.gate !== null && !this.gate.destroyed
  }

  get isUsed(): boolean {
    return this.#users.length > 0
  }

  /** Whether the next answer is for this request. */
  isNext(user: LineUser): boolean {
    return this.#users[0] === user
  }

  join(user: LineUser): void {
    this.#users.push(user)
  }

  /** The answer to a request is here in full. */
  leave(user: LineUser): void {
    const at = this.#users.indexOf(user)
    if (at < 0) return
    this.#users.splice(at, 1)
    this.gate?.open()
    if (at === 0) this.#users[0]?.nextInLine(this)
  }

  /** The other requests that use it are told. @param by whom */
  close(by: LineUser | null = null): void {
    if (this.closed) return
    this.closed = true
    for (const user of this.#users.splice(0)) if (user !== by) user.lineLost()
    this.connection?.cancel()
    this.connection = null
    this.gate = null
    // not under the feet of `undici`, which may be telling of the failure: it asserts that its queue is as it left it
    setImmediate(() => this.client.destroy(null, ignore))
  }
}

function ignore(): void {}
