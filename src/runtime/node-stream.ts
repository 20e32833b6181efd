/** TCP sockets of `node:net` as `Stream` and `Listener`. */

import { createConnection, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { constants } from 'node:os'
import { type Endpoint, parseAddress } from '../core/endpoint.ts'
import { SocketType } from '../core/enums.ts'
import { type ErrorCode, errorCodeOf } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'
import { RingQueue } from '../core/ring-queue.ts'
import type { ConnectOptions, Listener, ListenHandler, Stream, StreamHandler } from '../core/runtime.ts'
import { endOfFile, genericError, operationOf } from './node-errors.ts'

/** Room for eight `piece` messages; 64 KiB are as fast, 256 KiB slower: they do not stay in the processor's cache. */
const READ_BUFFER_BYTES = 132 * 1024
const NOWHERE: Endpoint = ['0.0.0.0', 0]
const NOTHING = new Uint8Array(0)
/** What to call when a write is done; `null`: nobody wants to know. */
type Flushed = (() => void) | null

/**
 * Where a read puts its bytes before `onData` hands them out. On Unix the buffer is filled and
 * delivered in one go, so one serves all sockets; on Windows the kernel holds it between the two.
 */
let sharedReadBuffer: Uint8Array | null = null

function readBuffer(): Uint8Array {
  if (process.platform === 'win32') return new Uint8Array(READ_BUFFER_BYTES)
  sharedReadBuffer ??= new Uint8Array(READ_BUFFER_BYTES)
  return sharedReadBuffer
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  if (address === undefined || port === undefined) return NOWHERE
  return [parseAddress(address) ?? address, port]
}

/** A stream over a `net.Socket`, which may come later: through a proxy. */
export class NodeStream implements Stream {
  readonly kind: SocketType
  #local: Endpoint = NOWHERE
  #remote: Endpoint
  #socket: Socket | null = null
  #handler: StreamHandler | null = null
  #connected = false
  #closed = false
  #paused = false
  /** Connected through `onread`: no stream buffer, no allocation per read. */
  #direct = false
  #wantDrain = false
  /** Writes whose bytes the socket has not let go of, oldest first. */
  readonly #unflushed = new RingQueue<Flushed>()
  /** Gives up the search for a socket. */
  #abandon: (() => void) | null = null
  /** Written before there was a socket. */
  #early: { readonly views: readonly Uint8Array[]; readonly onFlushed: Flushed }[] = []

  constructor(kind: SocketType, remote: Endpoint) {
    this.kind = kind
    this.#remote = remote
  }

  get local(): Endpoint {
    return this.#local
  }

  get remote(): Endpoint {
    return this.#remote
  }

  get queuedBytes(): number {
    return this.#closed || this.#socket === null ? 0 : this.#socket.writableLength
  }

  /** True once a handler was set. */
  get attended(): boolean {
    return this.#handler !== null
  }

  setHandler(handler: StreamHandler): void {
    this.#handler = handler
  }

  /** Starts a plain TCP connection. A failure, also an immediate one, comes to `onClose`. */
  connect(options: ConnectOptions): void {
    const connectOptions: NetConnectOpts = {
      host: options.to[0],
      port: options.to[1],
      noDelay: true,
      onread: { buffer: this.#nextBuffer(readBuffer()), callback: this.#onRead },
    }
    if (options.local != null) {
      connectOptions.localAddress = options.local[0]
      if (options.local[1] !== 0) connectOptions.localPort = options.local[1]
    }
    if (options.keepAliveMs !== undefined) {
      connectOptions.keepAlive = true
      connectOptions.keepAliveInitialDelay = options.keepAliveMs
    }
    try {
      this.#direct = true
      this.#watch(createConnection(connectOptions))
    } catch (error) {
      queueMicrotask(() => this.fail(immediateError(error), Operation.connect))
    }
  }

  /** @param abandon called when the stream closes before it has a socket */
  onAbandon(abandon: () => void): void {
    this.#abandon = abandon
  }

  /** Takes a connected socket: accepted, or handed over by a proxy. Data flows in a later event. */
  adopt(socket: Socket, accepted: boolean): void {
    if (this.#closed) {
      socket.on('error', ignoreAfterClose).destroy()
      return
    }
    socket.setNoDelay(true)
    this.#watch(socket)
    socket.on('data', this.#onData)
    if (this.#paused) socket.pause()
    if (accepted) this.#established()
    else this.#onConnect()
  }

  write(views: readonly Uint8Array[], onFlushed?: () => void): void {
    const socket = this.#socket
    if (this.#closed) {
      if (onFlushed !== undefined) queueMicrotask(onFlushed)
      return
    }
    if (socket === null) {
      this.#early.push({ views, onFlushed: onFlushed ?? null })
      return
    }
    const last = views.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(views[i]!)
    this.#unflushed.push(onFlushed ?? null)
    socket.write(last < 0 ? NOTHING : views[last]!, this.#onWritten)
    if (last > 0) socket.uncork()
    if (socket.writableLength > 0) this.#wantDrain = true
  }

  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket?.resume()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handler = null
    if (this.#socket !== null) {
      this.#socket.destroy()
      return
    }
    this.#abandon?.()
    queueMicrotask(() => this.#flushAll())
  }

  /** Ends the stream from our side of the transport: the connection did not come up, or broke. */
  fail(error: ErrorCode, operation: Operation): void {
    if (this.#closed) return
    const handler = this.#handler
    this.close()
    handler?.onClose(error, operation)
  }

  #watch(socket: Socket): void {
    this.#socket = socket
    socket.on('error', error => {
      this.fail(errorCodeOf(error), operationOf(error, this.#connected ? Operation.sockRead : Operation.connect))
    })
    socket.on('end', () => this.fail(endOfFile(), Operation.sockRead))
    // The socket has let go of every buffer: what is still counted as unflushed never went out.
    socket.on('close', () => {
      this.fail(endOfFile(), Operation.sockRead)
      this.#flushAll()
    })
    if (socket.connecting) socket.on('connect', this.#onConnect)
  }

  #established(): void {
    const socket = this.#socket!
    this.#connected = true
    this.#local = endpoint(socket.localAddress, socket.localPort)
    if (this.kind === SocketType.tcp) this.#remote = endpoint(socket.remoteAddress, socket.remotePort)
    const early = this.#early
    this.#early = []
    for (const { views, onFlushed } of early) this.write(views, onFlushed ?? undefined)
  }

  readonly #onConnect = () => {
    if (this.#closed) return
    this.#established()
    if (this.#paused && this.#direct) this.#socket!.pause()
    this.#handler?.onConnect()
  }

  /** Says before each read how much of the buffer it may fill. */
  #nextBuffer(buffer: Uint8Array): () => Uint8Array {
    return () => {
      const size = this.#handler?.readSize?.(buffer.length) ?? buffer.length
      return size === buffer.length ? buffer : buffer.subarray(0, size)
    }
  }

  readonly #onRead = (count: number, buffer: Uint8Array): boolean => {
    if (this.#closed) return false
    this.#handler?.onData(count === buffer.length ? buffer : buffer.subarray(0, count))
    return !this.#paused
  }

  readonly #onData = (chunk: Uint8Array) => {
    if (this.#closed) return
    if (this.#paused) {
      // The socket had begun to deliver before it was paused, or a proxy's handshake resumed it.
      this.#socket!.pause()
      this.#socket!.unshift(chunk)
      return
    }
    this.#handler?.onData(chunk)
  }

  readonly #onWritten = () => {
    this.#unflushed.shift()?.()
    if (!this.#wantDrain || this.#closed || this.#socket!.writableLength > 0) return
    this.#wantDrain = false
    this.#handler?.onDrain()
  }

  #flushAll(): void {
    for (const { onFlushed } of this.#early.splice(0)) onFlushed?.()
    while (this.#unflushed.length > 0) this.#unflushed.shift()?.()
  }
}

function ignoreAfterClose(): void {}

/** `createConnection` throws on options it does not like: an address of no family, a port out of range. */
function immediateError(error: unknown): ErrorCode {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && code.startsWith('ERR_') ? genericError(constants.errno.EINVAL) : errorCodeOf(error)
}

class NodeListener implements Listener {
  readonly local: Endpoint
  readonly #server: Server

  constructor(server: Server, local: Endpoint) {
    this.#server = server
    this.local = local
  }

  close(): void {
    this.#server.removeAllListeners('connection')
    this.#server.removeAllListeners('error')
    this.#server.on('error', ignoreAfterClose)
    this.#server.on('connection', socket => socket.destroy())
    this.#server.close()
  }
}

/** Opens a listening TCP socket; an IPv6 one takes IPv6 only. */
export function listenOnNode(
  at: Endpoint,
  handler: ListenHandler,
  done: (error: ErrorCode | null, listener: Listener | null) => void,
): void {
  const server = createServer({ noDelay: true })
  let listening = false
  server.on('error', error => {
    if (listening) {
      handler.onError(errorCodeOf(error), operationOf(error, Operation.sockAccept), false)
      return
    }
    server.close()
    done(errorCodeOf(error), null)
  })
  server.on('listening', () => {
    listening = true
    const bound = server.address()
    const local: Endpoint = bound === null || typeof bound === 'string' ? at : endpoint(bound.address, bound.port)
    done(null, new NodeListener(server, local))
  })
  server.on('connection', socket => accept(socket, handler))
  try {
    server.listen({ host: at[0], port: at[1], ipv6Only: true, exclusive: true })
  } catch (error) {
    queueMicrotask(() => done(immediateError(error), null))
  }
}

function accept(socket: Socket, handler: ListenHandler): void {
  const remote = endpoint(socket.remoteAddress, socket.remotePort)
  // Already reset by the peer: nobody to talk to.
  if (remote === NOWHERE) {
    socket.on('error', ignoreAfterClose).destroy()
    return
  }
  const stream = new NodeStream(SocketType.tcp, remote)
  stream.adopt(socket, true)
  handler.onAccept(stream)
  if (!stream.attended) stream.close()
}
