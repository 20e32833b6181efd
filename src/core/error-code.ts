/** Errors as values: a number, and the category that gives it a meaning and a text. */

import { constants as osConstants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import {
  BDECODE_ERRORS,
  type ErrorTable,
  GZIP_ERRORS,
  HTTP_ERRORS,
  I2P_ERRORS,
  LIBTORRENT_ERRORS,
  type LibtorrentErrors,
  PCP_ERRORS,
  SOCKS_ERRORS,
  UPNP_ERRORS,
} from './error-table.ts'

/** A family of error numbers. There is one object per category, so `===` compares them. */
export class ErrorCategory {
  readonly #name: string
  readonly #message: (value: number) => string

  constructor(name: string, message: (value: number) => string) {
    this.#name = name
    this.#message = message
  }

  name(): string {
    return this.#name
  }

  /** The text of an error number of this category. */
  message(value: number): string {
    return this.#message(value)
  }

  equals(other: ErrorCategory): boolean {
    return this === other
  }

  /** Any fixed order will do; this one is by name. */
  lessThan(other: ErrorCategory): boolean {
    return this.#name < other.#name
  }
}

function fromTable(table: ErrorTable): ErrorCategory {
  return new ErrorCategory(
    table.name,
    value => table.messages[value] ?? table.unknown.replace('<value>', String(value)),
  )
}

/** What `strerror` says on Linux for the numbers that this library meets; others come from Node's own table. */
const STRERROR: Readonly<Record<string, string>> = {
  EPERM: 'Operation not permitted',
  ENOENT: 'No such file or directory',
  EINTR: 'Interrupted system call',
  EIO: 'Input/output error',
  ENXIO: 'No such device or address',
  EBADF: 'Bad file descriptor',
  EAGAIN: 'Resource temporarily unavailable',
  ENOMEM: 'Cannot allocate memory',
  EACCES: 'Permission denied',
  EFAULT: 'Bad address',
  EBUSY: 'Device or resource busy',
  EEXIST: 'File exists',
  EXDEV: 'Invalid cross-device link',
  ENODEV: 'No such device',
  ENOTDIR: 'Not a directory',
  EISDIR: 'Is a directory',
  EINVAL: 'Invalid argument',
  ENFILE: 'Too many open files in system',
  EMFILE: 'Too many open files',
  EFBIG: 'File too large',
  ENOSPC: 'No space left on device',
  EROFS: 'Read-only file system',
  EMLINK: 'Too many links',
  EPIPE: 'Broken pipe',
  EDOM: 'Numerical argument out of domain',
  ERANGE: 'Numerical result out of range',
  ENAMETOOLONG: 'File name too long',
  ENOSYS: 'Function not implemented',
  ENOTEMPTY: 'Directory not empty',
  ELOOP: 'Too many levels of symbolic links',
  EPROTO: 'Protocol error',
  EOVERFLOW: 'Value too large for defined data type',
  ENOTSOCK: 'Socket operation on non-socket',
  EDESTADDRREQ: 'Destination address required',
  EMSGSIZE: 'Message too long',
  EPROTOTYPE: 'Protocol wrong type for socket',
  ENOPROTOOPT: 'Protocol not available',
  EPROTONOSUPPORT: 'Protocol not supported',
  EOPNOTSUPP: 'Operation not supported',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ENETDOWN: 'Network is down',
  ENETUNREACH: 'Network is unreachable',
  ENETRESET: 'Network dropped connection on reset',
  ECONNABORTED: 'Software caused connection abort',
  ECONNRESET: 'Connection reset by peer',
  ENOBUFS: 'No buffer space available',
  EISCONN: 'Transport endpoint is already connected',
  ENOTCONN: 'Transport endpoint is not connected',
  ETIMEDOUT: 'Connection timed out',
  ECONNREFUSED: 'Connection refused',
  EHOSTDOWN: 'Host is down',
  EHOSTUNREACH: 'No route to host',
  EALREADY: 'Operation already in progress',
  EINPROGRESS: 'Operation now in progress',
  ESTALE: 'Stale file handle',
  EDQUOT: 'Disk quota exceeded',
  ECANCELED: 'Operation canceled',
}

let errnoTexts: Map<number, string> | null = null

function strerror(value: number): string {
  if (value === 0) return 'Success'
  if (errnoTexts === null) {
    errnoTexts = new Map()
    for (const [code, [, text]] of getSystemErrorMap()) errnoTexts.set(-code, text)
    for (const [name, code] of Object.entries(osConstants.errno)) {
      const text = STRERROR[name]
      if (text !== undefined) errnoTexts.set(code, text)
    }
  }
  return errnoTexts.get(value) ?? `Unknown error ${value}`
}

/** Values of boost.asio's `misc` category that libtorrent reports. */
export const MiscErrors = Object.freeze({ alreadyOpen: 1, eof: 2, notFound: 3, fdSetFailure: 4 } as const)
/** Values of boost.asio's `netdb` category that libtorrent reports. */
export const NetdbErrors = Object.freeze({
  hostNotFound: 1,
  hostNotFoundTryAgain: 2,
  noRecovery: 3,
  noData: 4,
} as const)

const LIBTORRENT = fromTable(LIBTORRENT_ERRORS)
const HTTP = fromTable(HTTP_ERRORS)
const BDECODE = fromTable(BDECODE_ERRORS)
const UPNP = fromTable(UPNP_ERRORS)
const I2P = fromTable(I2P_ERRORS)
const SOCKS = fromTable(SOCKS_ERRORS)
const GZIP = fromTable(GZIP_ERRORS)
const PCP = fromTable(PCP_ERRORS)
const SYSTEM = new ErrorCategory('system', strerror)
const GENERIC = new ErrorCategory('generic', strerror)
const MISC = fromTable({
  name: 'asio.misc',
  unknown: 'asio.misc error',
  messages: {
    1: 'Already open',
    2: 'End of file',
    3: 'Element not found',
    4: "The descriptor does not fit into the select call's fd_set",
  },
})
const NETDB = fromTable({
  name: 'asio.netdb',
  unknown: 'asio.netdb error',
  messages: {
    1: 'Host not found (authoritative)',
    2: 'Host not found (non-authoritative), try again later',
    3: 'A non-recoverable error occurred during database lookup',
    4: 'The query is valid, but it does not have associated data',
  },
})
const SSL = new ErrorCategory('asio.ssl', value => `SSL error ${value}`)

/** Errors of libtorrent itself. */
export function libtorrentCategory(): ErrorCategory {
  return LIBTORRENT
}
/** HTTP status codes. */
export function httpCategory(): ErrorCategory {
  return HTTP
}
export function bdecodeCategory(): ErrorCategory {
  return BDECODE
}
export function upnpCategory(): ErrorCategory {
  return UPNP
}
export function i2pCategory(): ErrorCategory {
  return I2P
}
export function socksCategory(): ErrorCategory {
  return SOCKS
}
export function gzipCategory(): ErrorCategory {
  return GZIP
}
export function pcpCategory(): ErrorCategory {
  return PCP
}
/** `errno` values as the operating system gave them. */
export function systemCategory(): ErrorCategory {
  return SYSTEM
}
/** `errno` values in their portable meaning. */
export function genericCategory(): ErrorCategory {
  return GENERIC
}
/** boost.asio's own errors, such as end of file. @internal */
export function miscCategory(): ErrorCategory {
  return MISC
}
/** Name resolution. @internal */
export function netdbCategory(): ErrorCategory {
  return NETDB
}
/** TLS. @internal */
export function sslCategory(): ErrorCategory {
  return SSL
}

/** An error number with its category. The value 0 means "no error". */
export class ErrorCode {
  #value: number
  #category: ErrorCategory

  constructor(value = 0, category: ErrorCategory = SYSTEM) {
    this.#value = value
    this.#category = category
  }

  value(): number {
    return this.#value
  }

  category(): ErrorCategory {
    return this.#category
  }

  message(): string {
    return this.#category.message(this.#value)
  }

  clear(): void {
    this.#value = 0
    this.#category = SYSTEM
  }

  assign(value: number, category: ErrorCategory): void {
    this.#value = value
    this.#category = category
  }

  /** True if this is an error. @internal */
  failed(): boolean {
    return this.#value !== 0
  }

  equals(other: ErrorCode): boolean {
    return this.#value === other.#value && this.#category === other.#category
  }

  /** True for this value of the libtorrent category. @internal */
  is(value: LibtorrentErrors): boolean {
    return this.#value === value && this.#category === LIBTORRENT
  }

  toString(): string {
    return `${this.#category.name()}:${this.#value} ${this.message()}`
  }
}

/** No error. Shared: do not `assign` to it. */
export const NO_ERROR = new ErrorCode()

/** An error of libtorrent's own category. */
export function libtorrentError(value: LibtorrentErrors): ErrorCode {
  return new ErrorCode(value, LIBTORRENT)
}

/** A system error by its `errno` name; 0 (no error) is never returned: unknown names give EIO. */
export function errnoError(name: string): ErrorCode {
  const value = (osConstants.errno as Record<string, number>)[name]
  return new ErrorCode(value ?? osConstants.errno.EIO, SYSTEM)
}

/**
 * The error code of whatever Node threw or emitted.
 *
 * System errors keep their `errno`; name resolution, TLS and end of stream get the categories that
 * libtorrent reports them in.
 */
export function errorCodeOf(error: unknown): ErrorCode {
  if (error instanceof ErrorCode) return error
  const e = error as { code?: unknown; errno?: unknown; cause?: unknown } | null
  if (e === null || typeof e !== 'object') return errnoError('EIO')
  if (e.code instanceof ErrorCode) return e.code
  if (typeof e.code === 'string') {
    if (e.code === 'ENOTFOUND') return new ErrorCode(NetdbErrors.hostNotFound, NETDB)
    if (e.code === 'EAI_AGAIN') return new ErrorCode(NetdbErrors.hostNotFoundTryAgain, NETDB)
    if (e.code === 'ENODATA') return new ErrorCode(NetdbErrors.noData, NETDB)
    if (e.code in osConstants.errno) return errnoError(e.code)
    if (e.code.startsWith('ERR_SSL') || e.code.startsWith('ERR_TLS') || e.code.includes('CERT'))
      return new ErrorCode(1, SSL)
  }
  if (typeof e.errno === 'number' && e.errno < 0) return new ErrorCode(-e.errno, SYSTEM)
  if (e.cause !== undefined) return errorCodeOf(e.cause)
  return errnoError('EIO')
}

/** An `Error` that carries an {@link ErrorCode}: what functions of the public API throw. */
export class LibtorrentError extends Error {
  readonly code: ErrorCode

  /** @param detail put in front of the code's text */
  constructor(code: ErrorCode, detail = '') {
    super(detail === '' ? code.message() : `${detail}: ${code.message()}`)
    this.name = 'LibtorrentError'
    this.code = code
  }
}
