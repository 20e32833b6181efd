/** The conversation that asks a SOCKS5 proxy to relay datagrams: UDP ASSOCIATE (RFC 1928), with a login (RFC 1929). */

import { concatBytes, textToBytes } from '../core/bytes.ts'
import { type Endpoint, endpointFromCompact, isUnspecified } from '../core/endpoint.ts'
import { ErrorCode, errnoError, genericCategory, socksCategory } from '../core/error-code.ts'
import { SocksErrors } from '../core/error-table.ts'
import { SocksAddress, socksEndpoint } from './socks5-udp.ts'

const VERSION = 5
const LOGIN_VERSION = 1
const UDP_ASSOCIATE = 3
/** Methods of authentication. */
const NO_LOGIN = 0
const LOGIN = 2
const MAX_CREDENTIAL_BYTES = 255
/** Nobody in particular: the proxy takes the packets of whoever sends first. */
const ANYONE: Endpoint = ['0.0.0.0', 0]
const NOTHING = new Uint8Array(0)

/** How the conversation ended: where datagrams go, or why the proxy relays none. */
export type AssociateOutcome =
  | { readonly relay: Endpoint }
  | {
      readonly relay: null
      readonly error: ErrorCode
      /** It would say the same again: wrong kind of proxy, or wrong login. */
      readonly final: boolean
    }

export interface AssociateOptions {
  /** Empty for no login. */
  readonly username: string
  readonly password: string
  /** The proxy: where the relay is if the proxy's answer leaves its address open. */
  readonly proxy: Endpoint
  /** Where our datagrams come from, if the proxy is to know. */
  readonly local: Endpoint | null
}

type Stage = 'method' | 'login' | 'reply'

export class Socks5Associate {
  readonly #options: AssociateOptions
  readonly #send: (bytes: Uint8Array) => void
  #stage: Stage = 'method'
  #unread: Uint8Array = NOTHING

  constructor(options: AssociateOptions, send: (bytes: Uint8Array) => void) {
    this.#options = options
    this.#send = send
  }

  /** Speaks first. Call it once, when the connection is up. */
  start(): void {
    const hasLogin = this.#options.username !== ''
    this.#send(hasLogin ? Uint8Array.of(VERSION, 2, NO_LOGIN, LOGIN) : Uint8Array.of(VERSION, 1, NO_LOGIN))
  }

  /**
   * @param chunk borrowed
   * @returns how it ended, `null` while it goes on; call it no more after an end
   */
  receive(chunk: Uint8Array): AssociateOutcome | null {
    this.#unread = concatBytes([this.#unread, chunk])
    for (;;) {
      const before = this.#stage
      const outcome = this.#step()
      if (outcome !== null || this.#stage === before) return outcome
    }
  }

  #step(): AssociateOutcome | null {
    switch (this.#stage) {
      case 'method':
        return this.#method()
      case 'login':
        return this.#loggedIn()
      case 'reply':
        return this.#reply()
    }
  }

  #method(): AssociateOutcome | null {
    const answer = this.#take(2)
    if (answer === null) return null
    if (answer[0] !== VERSION) return refused(SocksErrors.unsupportedVersion)
    if (answer[1] === NO_LOGIN) this.#ask()
    else if (answer[1] !== LOGIN) return refused(SocksErrors.unsupportedAuthenticationMethod)
    else if (this.#options.username === '') return refused(SocksErrors.usernameRequired)
    else this.#login()
    return null
  }

  #login(): void {
    const { username, password } = this.#options
    this.#stage = 'login'
    this.#send(concatBytes([Uint8Array.of(LOGIN_VERSION), credential(username), credential(password)]))
  }

  #loggedIn(): AssociateOutcome | null {
    const answer = this.#take(2)
    if (answer === null) return null
    if (answer[0] !== LOGIN_VERSION) return refused(SocksErrors.unsupportedAuthenticationVersion)
    if (answer[1] !== 0) return refused(SocksErrors.authenticationError)
    this.#ask()
    return null
  }

  #ask(): void {
    this.#stage = 'reply'
    const from = socksEndpoint(this.#options.local ?? ANYONE)
    this.#send(concatBytes([Uint8Array.of(VERSION, UDP_ASSOCIATE, 0), from]))
  }

  #reply(): AssociateOutcome | null {
    const head = this.#unread
    if (head.length < 2) return null
    if (head[0] !== VERSION) return refused(SocksErrors.unsupportedVersion)
    // a proxy that refuses may close without the rest
    if (head[1] !== 0) return { relay: null, error: replyError(head[1]!), final: false }
    if (head.length < 5) return null
    const length = addressLength(head[3]!, head[4]!)
    if (length < 0) return { relay: null, error: replyError(ADDRESS_NOT_SUPPORTED), final: false }
    const answer = this.#take(4 + length + 2)
    return answer === null ? null : { relay: this.#relay(answer) }
  }

  /**
   * A name stands for the proxy itself, as in libtorrent.
   *
   * Deviation: so does `0.0.0.0`, which many proxies answer; libtorrent sends to that address. And libtorrent does not
   * read an answer with an IPv6 address.
   */
  #relay(answer: Uint8Array): Endpoint {
    const proxy = this.#options.proxy[0]
    if (answer[3] === SocksAddress.name) return [proxy, (answer.at(-2)! << 8) | answer.at(-1)!]
    const [address, port] = endpointFromCompact(answer, 4, answer[3] === SocksAddress.v4 ? 4 : 16)
    return [isUnspecified(address) ? proxy : address, port]
  }

  /** The next bytes of what came; `null` if there are fewer. */
  #take(count: number): Uint8Array | null {
    if (this.#unread.length < count) return null
    const taken = this.#unread.subarray(0, count)
    this.#unread = this.#unread.subarray(count)
    return taken
  }
}

/** Bytes of the address in a reply; -1 for a form there is not. */
function addressLength(form: number, first: number): number {
  if (form === SocksAddress.v4) return 4
  if (form === SocksAddress.v6) return 16
  return form === SocksAddress.name ? 1 + first : -1
}

function credential(text: string): Uint8Array {
  const bytes = textToBytes(text).subarray(0, MAX_CREDENTIAL_BYTES)
  return concatBytes([Uint8Array.of(bytes.length), bytes])
}

function refused(value: SocksErrors): AssociateOutcome {
  return { relay: null, error: new ErrorCode(value, socksCategory()), final: true }
}

const COMMAND_NOT_SUPPORTED = 7
const ADDRESS_NOT_SUPPORTED = 8
/** What the other codes of a reply mean. @see RFC 1928, section 6 */
const REPLY_ERRORS = new Map([
  [2, 'EACCES'],
  [3, 'ENETUNREACH'],
  [4, 'EHOSTUNREACH'],
  [5, 'ECONNREFUSED'],
  [6, 'ETIMEDOUT'],
  [ADDRESS_NOT_SUPPORTED, 'EAFNOSUPPORT'],
])

function replyError(code: number): ErrorCode {
  if (code === COMMAND_NOT_SUPPORTED) return new ErrorCode(SocksErrors.commandNotSupported, socksCategory())
  const name = REPLY_ERRORS.get(code)
  if (name === undefined) return new ErrorCode(SocksErrors.generalFailure, socksCategory())
  return new ErrorCode(errnoError(name).value(), genericCategory())
}
