/**
 * The seam between the engine and the world: time, randomness, sockets, names, HTTP, workers.
 *
 * `src/runtime` implements it on Node, `test/sim` in virtual time. Callbacks never come from inside
 * the call that caused them: what is started in a turn answers in a later one. After `close()`
 * returns no callback of that object comes any more, unless its documentation says otherwise.
 */

import type { Endpoint } from './endpoint.ts'
import type { SocketType } from './enums.ts'
import type { ErrorCode } from './error-code.ts'
import type { Operation } from './operation.ts'
import type { Rng } from './rng.ts'

export type { Rng } from './rng.ts'

/** A started timer. */
export interface TimerHandle {
  /** Idempotent; after it the function is not called. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. May have fractions. */
  now(): number
  /** Seconds since 1970, as files and the API carry times; may be set by the user meanwhile. */
  posixSeconds(): number
}

/** Receives what happens on a {@link Stream}. */
export interface StreamHandler {
  /**
   * How many bytes the next read should bring at most: a stream that can do so asks before each read, and ends it where a
   * message ends rather than anywhere.
   *
   * @param capacity there is room for so many
   * @returns 1 to `capacity`
   */
  readSize?(capacity: number): number
  /** Only on streams from `connect`: the connection is up. Comes before any data. */
  onConnect(): void
  /** @param chunk borrowed: valid during the call only */
  onData(chunk: Uint8Array): void
  /** The queue of unsent bytes has become empty after it was not. */
  onDrain(): void
  /**
   * The last callback. The peer closed (end of file), the connection failed, or it never came up.
   * Not called after our own `close()`.
   */
  onClose(error: ErrorCode, operation: Operation): void
}

/** A reliable byte stream with a peer: TCP, uTP, TLS over either, or one through a proxy. */
export interface Stream {
  readonly kind: SocketType
  /** Valid once connected. */
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Bytes given to `write` that the transport has not taken yet. */
  readonly queuedBytes: number

  /** Must be called in the turn that got the stream. Replacing the handler later is allowed. */
  setHandler(handler: StreamHandler): void
  /**
   * Sends the views in order, as one system call where possible. They must stay unchanged until
   * `onFlushed` (or, without one, for ever). Before `onConnect` they wait for the connection; after
   * the stream has closed they are dropped.
   *
   * @param onFlushed called exactly once, in the order of the writes, when the transport needs the views
   *   no longer: also when the stream closes first, and then possibly after `onClose` or after `close()`
   */
  write(views: readonly Uint8Array[], onFlushed?: () => void): void
  /** Stops `onData`; the peer feels it as back-pressure. The end of the stream is not noticed either meanwhile. */
  pause(): void
  /** Idempotent. Held-back data comes in a later event. */
  resume(): void
  /** Drops unsent bytes and closes. Idempotent. Pending `onFlushed` are still called. */
  close(): void
}

/** Receives connections. */
export interface ListenHandler {
  /** @param stream connected; without a handler set before return it is closed */
  onAccept(stream: Stream): void
  /**
   * A connection could not be accepted (the listener goes on), or the socket has failed after it
   * listened (`fatal`: the last callback).
   */
  onError(error: ErrorCode, operation: Operation, fatal: boolean): void
}

export interface Listener {
  /** With the port that was really bound. */
  readonly local: Endpoint
  close(): void
}

export interface DatagramHandler {
  /** @param packet borrowed */
  onPacket(packet: Uint8Array, from: Endpoint): void
  /**
   * A packet could not be delivered, or the socket has failed (`fatal`: the last callback).
   *
   * @param to where the packet was to go, if the system tells
   */
  onError(error: ErrorCode, operation: Operation, fatal: boolean, to: Endpoint | null): void
  /** `send` answered false before, and there is room again. */
  onWritable(): void
}

/** A bound UDP socket. */
export interface Datagram {
  readonly local: Endpoint
  /**
   * @param packet copied before return
   * @param isAnswer nobody waits to hear that it cannot leave: an error of it may go untold, which costs less
   * @returns false if the queue is full and the packet was dropped
   */
  send(packet: Uint8Array, to: Endpoint, isAnswer?: boolean): boolean
  close(): void
}

/** A group of hosts on a network that hear what is sent to its address. */
export interface MulticastOptions {
  /** The group's address, and the port to hear. Other sockets of this machine may have joined it too. */
  readonly group: Endpoint
  /** An address of this machine: what is sent leaves by its interface, and what comes in there is heard. */
  readonly interfaceAddress: string
  /** How far a packet may go, 0 to 255: 0 keeps it on this machine, 1 on its network. */
  readonly hops: number
}

/** One network of one interface. */
export interface NetworkInterface {
  readonly name: string
  readonly address: string
  readonly prefixLength: number
  readonly loopback: boolean
  /** Whether it may lead to the internet; true if that is not known. */
  readonly internet: boolean
}

/** How a connection leaves this machine. */
export interface ProxyOptions {
  /** A `ProxyType` value. */
  readonly type: number
  readonly hostname: string
  readonly port: number
  readonly username: string
  readonly password: string
  /** HTTP requests leave the look-up of their host to the proxy (SOCKS5 and HTTP); else they look it up first. Default true. */
  readonly proxyHostnames?: boolean
}

export interface ConnectOptions {
  readonly to: Endpoint
  /** Local address to bind; `null` leaves it to the system. Port 0 is any. */
  readonly local?: Endpoint | null
  readonly proxy?: ProxyOptions | null
  /** After so long without traffic the system asks whether the other side is still there. Not through a proxy. */
  readonly keepAliveMs?: number
}

export interface HttpRequestOptions {
  /** http or https. */
  readonly url: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Local address to bind; `null` leaves it to the system. */
  readonly localAddress?: string | null
  readonly proxy?: ProxyOptions | null
  /** Only addresses of this family. */
  readonly family?: 4 | 6
  /** From the request to the end of the head, and again to each next piece of the body. */
  readonly timeoutMs: number
  /**
   * The body may not be longer: else `HttpSink.onError` with `EFBIG` (file too large), or with
   * `inflatedDataTooLarge` if it is longer only after decompression.
   */
  readonly maxBodyBytes: number
  /** Redirects followed; the answer after the last one is delivered as it is, with its 3xx status. */
  readonly maxRedirects: number
  /** Whether the certificate of an https server must be valid for its host. */
  readonly verifyCertificate: boolean
  /**
   * False: the server is not told that it may compress, and the body comes as it sends it. That is for ranges of files.
   * Default true.
   */
  readonly decompress?: boolean
  /** Refuses a host or redirect target before anything is sent to it. `null` allows it. */
  readonly filterUrl?: ((url: URL) => ErrorCode | null) | undefined
  /**
   * Refuses addresses a host resolved to. An empty list fails the request with "banned by IP filter", an error
   * code with that. Not asked when the proxy looks up the host.
   */
  readonly filterAddresses?: ((addresses: readonly string[], url: URL) => readonly string[] | ErrorCode) | undefined
}

export interface HttpHead {
  readonly status: number
  /** The words after the status number; may be empty. */
  readonly statusText: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** After redirects. */
  readonly url: string
  /** Who answered; empty if a proxy hides it. */
  readonly remoteAddress: string
}

/**
 * Receives one response: a head, body parts, then either `onEnd` or `onError`, which may also come first.
 *
 * A server that closes before the body it announced is whole gives `onError` with end of file after the parts
 * that came.
 */
export interface HttpSink {
  onHead(head: HttpHead): void
  /** @param chunk borrowed; decompressed if the server used gzip or deflate, and `decompress` is not false */
  onData(chunk: Uint8Array): void
  onEnd(): void
  onError(error: ErrorCode, operation: Operation): void
}

/** A running request. */
export interface HttpRequest {
  pause(): void
  resume(): void
  /** Idempotent; no callback follows. */
  abort(): void
}

/**
 * Requests that share a connection, as long as they are for the same origin and the server agrees.
 *
 * Those that are on their way together are answered in their order. If one fails or is aborted, the others fail too, and
 * pausing one pauses them all.
 */
export interface HttpSession {
  /** As {@link HttpClient.request}. No more may be under way than the session was made for; `onEnd` makes room. */
  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest
  /** Aborts what is under way and closes the connection. Idempotent. */
  close(): void
}

export interface HttpClient {
  request(options: HttpRequestOptions, sink: HttpSink): HttpRequest
  /** @param pipelining how many requests may be on their way at a time; default 1 */
  session(pipelining?: number): HttpSession
}

export interface ResolveOptions {
  /** Answer from the cache only, even if it is stale; else fail. */
  readonly cacheOnly?: boolean
  /** `Resolver.abort` ends this look-up. */
  readonly abortOnShutdown?: boolean
}

export interface Resolver {
  /**
   * Looks up a host. Numeric addresses answer themselves.
   *
   * @param done called once; `addresses` canonical, empty if `error` is set
   */
  resolve(
    host: string,
    options: ResolveOptions,
    done: (error: ErrorCode | null, addresses: readonly string[]) => void,
  ): void
  /** How long answers are kept; failures an eighth of it. Default 1200. */
  setCacheTimeout(seconds: number): void
  /** Fails the waiting look-ups that were asked with `abortOnShutdown`, with `ECANCELED`, in a later event. */
  abort(): void
}

/** What the engine stands on. */
export interface Runtime {
  readonly clock: Clock
  /** Cryptographically strong on Node, seeded in the simulator. */
  readonly rng: Rng
  readonly resolver: Resolver
  readonly http: HttpClient

  /** @param delayMs from now; 0 is "soon". Never runs `fn` before that time by `clock.now()`. */
  setTimer(delayMs: number, fn: () => void): TimerHandle
  /** Runs `fn` once after the present turn and before the next event: a microtask on Node. */
  defer(fn: () => void): void
  /** Runs `fn` once when all events that are ready now were handled: a `setImmediate` on Node. */
  afterPoll(fn: () => void): void

  connect(options: ConnectOptions): Stream
  /** @throws LibtorrentError never; a failure to bind comes to `done` */
  listen(at: Endpoint, handler: ListenHandler, done: (error: ErrorCode | null, listener: Listener | null) => void): void
  bindDatagram(
    at: Endpoint,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void
  /**
   * Binds a UDP socket that has joined a multicast group and can send to it. It also hears what this machine sends,
   * itself included, and possibly what comes in for the group by other interfaces.
   */
  bindMulticast(
    options: MulticastOptions,
    handler: DatagramHandler,
    done: (error: ErrorCode | null, socket: Datagram | null) => void,
  ): void
  /** The networks of this machine now; empty if the system does not tell. */
  interfaces(): readonly NetworkInterface[]
}
