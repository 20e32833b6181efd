/** Packages of the DHT without types of their own: what tests use of them. */

declare module 'bittorrent-dht' {
  import type { EventEmitter } from 'node:events'

  type Done<T> = (error: Error | null, value: T) => void

  export default class DHT extends EventEmitter {
    readonly nodes: { count(): number }
    constructor(options: {
      bootstrap: false | readonly string[]
      verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean
    })
    listen(port: number, address: string, done: () => void): void
    address(): { port: number }
    addNode(node: { host: string; port: number }): void
    announce(infoHash: string, port: number, done: Done<void>): void
    lookup(infoHash: string, done: Done<number>): void
    put(item: { v: Buffer } & Record<string, unknown>, done: Done<Buffer>): void
    // biome-ignore lint/suspicious/noExplicitAny: what is found has the fields of its kind
    get(target: string, options: Record<string, unknown>, done: Done<any>): void
    destroy(done: () => void): void
  }
}

declare module 'k-rpc' {
  import type { EventEmitter } from 'node:events'

  namespace rpc {
    interface Message {
      readonly r: Readonly<Record<string, Buffer>> & { readonly values?: readonly Buffer[] }
    }
    interface Peer {
      readonly address?: string
      readonly host?: string
      readonly port: number
    }
    interface Rpc extends EventEmitter {
      readonly id: Buffer
      bind(port: number, address: string, done: () => void): void
      query(peer: Peer, message: object, done: (error: Error | null, reply: Message, from: Peer) => void): void
      closest(
        target: Buffer,
        message: object,
        visit: (reply: Message, from: Peer) => boolean | undefined,
        done: (error: Error | null, count: number) => void,
      ): void
      destroy(done?: () => void): void
    }
  }
  function rpc(options: { nodes: readonly string[] }): rpc.Rpc
  export = rpc
}
