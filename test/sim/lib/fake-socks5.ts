/** A SOCKS5 proxy that relays datagrams, on any runtime. Remembers what it was asked, and can be told to misbehave. */

import { type Endpoint, endpointFromCompact, endpointsEqual, endpointToCompact } from '../../../src/core/endpoint.ts'
import type { Datagram, Listener, Runtime, Stream } from '../../../src/core/runtime.ts'

export interface FakeSocks5Options {
  /** Demands a login with this password. */
  readonly password?: string
  /** What it answers to UDP ASSOCIATE; default 0, which grants it. */
  readonly reply?: number
  /** Instead of its address in the answer, form and all. */
  readonly bound?: Uint8Array
  /** Sends each of its answers byte by byte. */
  readonly piecemeal?: boolean
  /** Says nothing at all. */
  readonly silent?: boolean
}

type Stage = 'methods' | 'login' | 'request' | 'associated'

export class FakeSocks5 {
  options: FakeSocks5Options
  /** Where to connect to; port 0 until it listens. */
  endpoint: Endpoint
  /** When each connection came, in milliseconds of the runtime's clock. */
  readonly connections: number[] = []
  readonly logins: string[] = []
  /** What clients said of where their packets come from. */
  readonly announced: Endpoint[] = []
  /** Where packets were to go: `name:port` or `address:port`. */
  readonly targets: string[] = []
  readonly #runtime: Runtime
  readonly #open = new Set<Stream>()
  #listener: Listener | null = null
  #relay: Datagram | null = null
  #client: Endpoint | null = null

  constructor(runtime: Runtime, at: Endpoint, options: FakeSocks5Options = {}) {
    this.#runtime = runtime
    this.options = options
    this.endpoint = at
    runtime.listen(at, { onAccept: stream => this.#accepted(stream), onError() {} }, (error, listener) => {
      if (listener === null) throw new Error(`proxy: ${error?.message()}`)
      this.endpoint = [at[0], listener.local[1]]
    })
    runtime.bindDatagram(
      [at[0], 0],
      { onPacket: (packet, from) => this.#packet(packet, from), onError() {}, onWritable() {} },
      (error, socket) => {
        if (socket === null) throw new Error(`proxy: ${error?.message()}`)
        this.#relay = socket
      },
    )
  }

  get ready(): boolean {
    return this.endpoint[1] !== 0 && this.#relay !== null
  }

  get relay(): Endpoint {
    return [this.endpoint[0], this.#relay!.local[1]]
  }

  /** Ends the associations there are. */
  hangUp(): void {
    for (const stream of this.#open) stream.close()
    this.#open.clear()
    this.#client = null
  }

  /** Where the client's packets came from last. */
  get client(): Endpoint | null {
    return this.#client
  }

  close(): void {
    this.hangUp()
    this.#listener?.close()
    this.#relay?.close()
  }

  /** Sends bytes of any kind to the client from the relay. */
  sendRaw(packet: Uint8Array): void {
    this.#relay!.send(packet, this.#client!)
  }

  #accepted(stream: Stream): void {
    this.connections.push(this.#runtime.clock.now())
    this.#open.add(stream)
    let stage: Stage = 'methods'
    let input = Buffer.alloc(0)
    stream.setHandler({
      onConnect() {},
      onDrain() {},
      onClose: () => void this.#open.delete(stream),
      onData: chunk => {
        if (this.options.silent) return
        input = Buffer.concat([input, chunk])
        for (;;) {
          const length = lengthOf(stage, input)
          if (length === null || input.length < length) return
          const message = input.subarray(0, length)
          input = input.subarray(length)
          stage = this.#message(stage, message, stream)
        }
      },
    })
  }

  #message(stage: Stage, message: Buffer, stream: Stream): Stage {
    const { password, reply = 0 } = this.options
    if (stage === 'methods') {
      const wanted = password === undefined ? 0 : 2
      const offered = message.subarray(2).includes(wanted)
      this.#send(stream, [5, offered ? wanted : 0xff])
      return wanted === 2 ? 'login' : 'request'
    }
    if (stage === 'login') {
      const user = message.toString('utf8', 2, 2 + message[1]!)
      const given = message.toString('utf8', 3 + message[1]!)
      this.logins.push(`${user}:${given}`)
      this.#send(stream, [1, given === password ? 0 : 1])
      return 'request'
    }
    if (message[1] !== 3) this.#send(stream, [5, 7, 0, 1, 0, 0, 0, 0, 0, 0])
    else {
      this.announced.push(endpointFromCompact(message, 4, message[3] === 1 ? 4 : 16))
      const bound = this.options.bound ?? withForm(this.relay)
      this.#send(stream, [5, reply, 0, ...(reply === 0 ? bound : [1, 0, 0, 0, 0, 0, 0])])
    }
    return 'associated'
  }

  #send(stream: Stream, bytes: readonly number[]): void {
    if (this.options.piecemeal) for (const byte of bytes) stream.write([Uint8Array.of(byte)])
    else stream.write([Uint8Array.from(bytes)])
  }

  #packet(packet: Uint8Array, from: Endpoint): void {
    const known = this.#client !== null && endpointsEqual(from, this.#client)
    if (known || (this.#client === null && packet[0] === 0 && packet[1] === 0 && this.#open.size > 0)) {
      this.#client = from
      this.#forward(Buffer.from(packet))
    } else if (this.#client !== null) {
      this.#relay!.send(Buffer.concat([Uint8Array.of(0, 0, 0), withForm(from), packet]), this.#client)
    }
  }

  #forward(packet: Buffer): void {
    const form = packet[3]
    if (form === 3) {
      const end = 5 + packet[4]!
      const name = packet.toString('latin1', 5, end)
      const port = packet.readUInt16BE(end)
      this.targets.push(`${name}:${port}`)
      this.#runtime.resolver.resolve(name, {}, (error, addresses) => {
        const address = addresses.find(a => a.includes(':') === this.endpoint[0].includes(':'))
        if (error === null && address !== undefined) this.#relay!.send(packet.subarray(end + 2), [address, port])
      })
      return
    }
    const length = form === 1 ? 4 : 16
    const to = endpointFromCompact(packet, 4, length)
    this.targets.push(`${to[0]}:${to[1]}`)
    this.#relay!.send(packet.subarray(4 + length + 2), to)
  }
}

/** How long the message at the start of `input` is; `null` while that cannot be told. */
function lengthOf(stage: Stage, input: Buffer): number | null {
  if (stage === 'associated') return null
  if (input.length < 2) return null
  if (stage === 'methods') return 2 + input[1]!
  if (stage === 'login') return input.length < 3 + input[1]! ? null : 3 + input[1]! + input[2 + input[1]!]!
  return input.length < 4 ? null : input[3] === 1 ? 10 : 22
}

function withForm(endpoint: Endpoint): Uint8Array {
  const compact = endpointToCompact(endpoint)
  return Buffer.concat([Uint8Array.of(compact.length === 6 ? 1 : 4), compact])
}
