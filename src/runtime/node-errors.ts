/** What Node's socket errors mean in libtorrent's terms. */

import { ErrorCode, errorCodeOf, genericCategory, MiscErrors, miscCategory } from '../core/error-code.ts'
import { Operation } from '../core/operation.ts'

/** The other side closed its half of the stream. */
export function endOfFile(): ErrorCode {
  return new ErrorCode(MiscErrors.eof, miscCategory())
}

/** An errno in its portable meaning, as libtorrent makes it itself. */
export function genericError(value: number): ErrorCode {
  return new ErrorCode(value, genericCategory())
}

/** Which operation a socket error came from. @param otherwise for errors that do not say */
export function operationOf(error: unknown, otherwise: Operation): Operation {
  switch ((error as { syscall?: unknown } | null)?.syscall) {
    case 'bind':
      return Operation.sockBind
    case 'listen':
      return Operation.sockListen
    case 'accept':
      return Operation.sockAccept
    case 'connect':
      return Operation.connect
    case 'read':
    case 'recvmsg':
      return Operation.sockRead
    case 'write':
    case 'send':
    case 'shutdown':
      return Operation.sockWrite
    case 'getaddrinfo':
      return Operation.hostnameLookup
    default:
      return otherwise
  }
}

export { errorCodeOf }
