/** Connections through SOCKS and HTTP proxies. The SOCKS handshakes are the `socks` package's, loaded on first use. */

import { createConnection, isIPv6, type Socket } from 'node:net'
import { constants } from 'node:os'
import { bytesToBinary } from '../core/bytes.ts'
import { ProxyType, SocketType } from '../core/enums.ts'
import { ErrorCode, errorCodeOf, httpCategory, libtorrentError, socksCategory } from '../core/error-code.ts'
import { LibtorrentErrors, SocksErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { ConnectOptions, ProxyOptions } from '../core/runtime.ts'
import { endOfFile, genericError, operationOf } from './node-errors.ts'
import { NodeStream } from './node-stream.ts'

/** A proxy's answer to CONNECT may not have a longer head. */
const MAX_HEAD_BYTES = 8 * 1024
/**
 * The length of a text has one byte in SOCKS5. The `socks` package throws on longer ones, from a socket's event.
 *
 * Deviation: libtorrent cuts host names too, and asks for a host that nobody meant.
 */
const MAX_SOCKS_TEXT = 255

/** Receives what a {@link dial} led to. Exactly one of the two is called. */
export interface DialResult {
  /** The socket has no listeners of ours; data flows once it has a `data` listener or is resumed. */
  connected(socket: Socket): void
  failed(error: ErrorCode, operation: Operation): void
}

/** Ends a {@link dial}; no callback follows. */
export type CancelDial = () => void

export interface DialOptions {
  /** Host name or address; a name only if there is a proxy that looks it up. */
  readonly host: string
  readonly port: number
  readonly proxy: ProxyOptions | null
  readonly localAddress: string | null
  readonly localPort?: number
}

/** Opens a TCP connection, straight or through a proxy. A failure comes in a later event. */
export function dial(options: DialOptions, result: DialResult): CancelDial {
  const proxy = options.proxy
  const attempt = new Attempt(result)
  const bind = {
    ...(options.localAddress === null ? {} : { localAddress: options.localAddress }),
    ...(options.localPort ? { localPort: options.localPort } : {}),
  }
  try {
    const host = proxy?.hostname ?? options.host
    const socket = createConnection({ host, port: proxy?.port ?? options.port, noDelay: true, ...bind })
    attempt.watch(socket)
    socket.once('connect', () => {
      if (proxy === null) attempt.succeed(socket)
      else if (isSocks(proxy.type)) {
        const failed = (error: unknown) => attempt.fail(badOptions(error), Operation.handshake)
        socksHandshake(socket, options, proxy, attempt).catch(failed)
      } else httpConnect(socket, options, proxy, attempt)
    })
  } catch (error) {
    queueMicrotask(() => attempt.fail(badOptions(error), Operation.connect))
  }
  return () => attempt.cancel()
}

/** Connects a peer's stream through a proxy. */
export function connectThroughProxy(options: ConnectOptions, proxy: ProxyOptions): NodeStream {
  const stream = new NodeStream(isSocks(proxy.type) ? SocketType.socks5 : SocketType.http, options.to)
  const cancel = dial(
    {
      host: options.to[0],
      port: options.to[1],
      proxy,
      localAddress: options.local?.[0] ?? null,
      localPort: options.local?.[1] ?? 0,
    },
    {
      connected: socket => stream.adopt(socket, false),
      failed: (error, operation) => stream.fail(error, operation),
    },
  )
  stream.onAbandon(cancel)
  return stream
}

function isSocks(type: number): boolean {
  return type === ProxyType.socks4 || type === ProxyType.socks5 || type === ProxyType.socks5Pw
}

/** One connection on its way: from the first packet to the end of the proxy's handshake. */
class Attempt {
  readonly #result: DialResult
  #socket: Socket | null = null
  #done = false

  constructor(result: DialResult) {
    this.#result = result
  }

  get done(): boolean {
    return this.#done
  }

  watch(socket: Socket): void {
    this.#socket = socket
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
  }

  succeed(socket: Socket): void {
    if (this.#done) return
    this.#done = true
    socket.off('error', this.#onError)
    socket.off('close', this.#onClose)
    this.#result.connected(socket)
  }

  fail(error: ErrorCode, operation: Operation): void {
    if (this.#done) return
    this.cancel()
    this.#result.failed(error, operation)
  }

  cancel(): void {
    this.#done = true
    this.#socket?.destroy()
  }

  readonly #onError = (error: Error) => this.fail(errorCodeOf(error), operationOf(error, Operation.connect))
  readonly #onClose = () => this.fail(endOfFile(), Operation.connect)
}

function badOptions(error: unknown): ErrorCode {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && code.startsWith('ERR_') ? genericError(constants.errno.EINVAL) : errorCodeOf(error)
}

async function socksHandshake(socket: Socket, options: DialOptions, proxy: ProxyOptions, attempt: Attempt) {
  const { SocksClient } = await import('socks')
  if (attempt.done) return
  if (Buffer.byteLength(options.host) > MAX_SOCKS_TEXT) {
    attempt.fail(genericError(constants.errno.ENAMETOOLONG), Operation.handshake)
    return
  }
  const secret = proxy.type === ProxyType.socks5Pw
  const userId = secret || proxy.type === ProxyType.socks4 ? { userId: socksText(proxy.username) } : {}
  const client = new SocksClient({
    command: 'connect',
    destination: { host: options.host, port: options.port },
    proxy: {
      host: proxy.hostname,
      port: proxy.port,
      type: proxy.type === ProxyType.socks4 ? 4 : 5,
      ...userId,
      ...(secret ? { password: socksText(proxy.password) } : {}),
    },
    // The caller's own deadline comes first.
    timeout: 0x7fffffff,
  })
  client.once('error', error => attempt.fail(socksError(error), Operation.handshake))
  // Listeners must be there before this event ends: bytes that followed the handshake come right after it.
  client.once('established', () => attempt.succeed(socket))
  client.connect(socket)
}

/** Names and passwords are cut, as libtorrent does. */
function socksText(text: string): string {
  return new TextDecoder().decode(Buffer.from(text).subarray(0, MAX_SOCKS_TEXT), { stream: true })
}

/** Reply texts of the `socks` package and the codes libtorrent reports for them. */
const SOCKS_REPLIES: readonly (readonly [text: string, code: () => ErrorCode])[] = [
  ['Authentication failed', () => socks(SocksErrors.authenticationError)],
  ['no accepted authentication type', () => socks(SocksErrors.unsupportedAuthenticationMethod)],
  ['unknown authentication type', () => socks(SocksErrors.unsupportedAuthenticationMethod)],
  ['invalid socks version', () => socks(SocksErrors.unsupportedVersion)],
  ['handshake response', () => socks(SocksErrors.unsupportedVersion)],
  ['NotAllowed', () => genericError(constants.errno.EACCES)],
  ['NetworkUnreachable', () => genericError(constants.errno.ENETUNREACH)],
  ['HostUnreachable', () => genericError(constants.errno.EHOSTUNREACH)],
  ['ConnectionRefused', () => genericError(constants.errno.ECONNREFUSED)],
  ['TTLExpired', () => genericError(constants.errno.ETIMEDOUT)],
  ['CommandNotSupported', () => socks(SocksErrors.commandNotSupported)],
  ['AddressNotSupported', () => genericError(constants.errno.EAFNOSUPPORT)],
  ['RejectedIdent', () => socks(SocksErrors.identdError)],
  ['(Rejected)', () => socks(SocksErrors.noIdentd)],
  ['Socket closed', endOfFile],
]

function socks(value: number): ErrorCode {
  return new ErrorCode(value, socksCategory())
}

function socksError(error: Error): ErrorCode {
  for (const [text, code] of SOCKS_REPLIES) if (error.message.includes(text)) return code()
  return socks(SocksErrors.generalFailure)
}

/** `Proxy-Authorization` for a proxy with a password; `null` for one without. */
export function proxyAuthorization(proxy: ProxyOptions): string | null {
  if (proxy.type !== ProxyType.httpPw) return null
  return `Basic ${Buffer.from(`${proxy.username}:${proxy.password}`).toString('base64')}`
}

function httpConnect(socket: Socket, options: DialOptions, proxy: ProxyOptions, attempt: Attempt): void {
  const target = `${isIPv6(options.host) ? `[${options.host}]` : options.host}:${options.port}`
  const authorization = proxyAuthorization(proxy)
  socket.write(
    `CONNECT ${target} HTTP/1.0\r\n` +
      (authorization === null ? '' : `Proxy-Authorization: ${authorization}\r\n`) +
      '\r\n',
  )
  let head = ''
  const onData = (chunk: Uint8Array) => {
    head += bytesToBinary(chunk)
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) {
      if (head.length > MAX_HEAD_BYTES) attempt.fail(httpParseError(), Operation.handshake)
      return
    }
    socket.off('data', onData)
    socket.pause()
    const status = /^HTTP\/\d\.\d (\d{3})/.exec(head)
    if (status === null) attempt.fail(httpParseError(), Operation.handshake)
    else if (status[1] !== '200') attempt.fail(new ErrorCode(Number(status[1]), httpCategory()), Operation.handshake)
    else {
      const rest = head.slice(end + 4)
      if (rest !== '') socket.unshift(Buffer.from(rest, 'latin1'))
      attempt.succeed(socket)
      socket.resume()
    }
  }
  socket.on('data', onData)
}

function httpParseError(): ErrorCode {
  return libtorrentError(LibtorrentErrors.httpParseError)
}
