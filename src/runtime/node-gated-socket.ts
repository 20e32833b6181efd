/** A socket that can be told to stop delivering. */

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/**
 * Passes bytes between a socket and a reader that takes all it can get.
 *
 * `undici` can pause a response too, but its parser must not be paused when the server closes: that
 * is an assertion of its own, thrown from a socket event. So back-pressure is made here, below it.
 */
export class GatedSocket extends Duplex {
  readonly #socket: Socket
  #shut = false

  constructor(socket: Socket) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    // The reader may be gone when the socket breaks.
    this.on('error', ignore)
    socket.on('data', chunk => {
      if (!this.push(chunk)) socket.pause()
    })
    socket.on('end', () => this.push(null))
    socket.on('error', error => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  /** Stops the flow towards the reader; what the socket holds stays there. */
  shut(): void {
    this.#shut = true
    this.#socket.pause()
  }

  open(): void {
    this.#shut = false
    this.#socket.resume()
  }

  override _read(): void {
    if (!this.#shut) this.#socket.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}

function ignore(): void {}
