/** Which metrics the end of a connection is counted in, by the error it ended with. */

import {
  type ErrorCode,
  errnoError,
  genericCategory,
  libtorrentCategory,
  MiscErrors,
  miscCategory,
  systemCategory,
} from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import * as C from '../stats/counter-ids.ts'
import type { Counters } from '../stats/counters.ts'

const BY_ERRNO: ReadonlyMap<number, number> = new Map(
  (
    [
      ['ECONNRESET', C.PEER_CONNRESET_PEERS],
      ['ECONNREFUSED', C.PEER_CONNREFUSED_PEERS],
      ['ECONNABORTED', C.PEER_CONNABORTED_PEERS],
      ['ENOTCONN', C.PEER_NOTCONNECTED_PEERS],
      ['EPERM', C.PEER_PERM_PEERS],
      ['ENOBUFS', C.PEER_BUFFER_PEERS],
      ['EHOSTUNREACH', C.PEER_UNREACHABLE_PEERS],
      ['EPIPE', C.PEER_BROKEN_PIPE_PEERS],
      ['EADDRINUSE', C.PEER_ADDRINUSE_PEERS],
      ['EACCES', C.PEER_NO_ACCESS_PEERS],
      ['EINVAL', C.PEER_INVALID_ARG_PEERS],
      ['ECANCELED', C.PEER_ABORTED_PEERS],
      ['ETIMEDOUT', C.PEER_TRANSPORT_TIMEOUT_PEERS],
    ] as const
  ).map(([name, counter]) => [errnoError(name).value(), counter]),
)

const BY_LIBTORRENT_ERROR: ReadonlyMap<number, number> = new Map<number, number>([
  [LibtorrentErrors.uploadUploadConnection, C.PEER_UNINTERESTING_PEERS],
  [LibtorrentErrors.uninterestingUploadPeer, C.PEER_UNINTERESTING_PEERS],
  [LibtorrentErrors.torrentAborted, C.PEER_UNINTERESTING_PEERS],
  [LibtorrentErrors.selfConnection, C.PEER_UNINTERESTING_PEERS],
  [LibtorrentErrors.torrentPaused, C.PEER_UNINTERESTING_PEERS],
  [LibtorrentErrors.timedOut, C.PEER_TRANSPORT_TIMEOUT_PEERS],
  [LibtorrentErrors.timedOutInactivity, C.PEER_TIMEOUT_PEERS],
  [LibtorrentErrors.timedOutNoRequest, C.PEER_TIMEOUT_PEERS],
  [LibtorrentErrors.timedOutNoInterest, C.PEER_TIMEOUT_PEERS],
  [LibtorrentErrors.noMemory, C.PEER_NO_MEMORY_PEERS],
  [LibtorrentErrors.tooManyConnections, C.PEER_TOO_MANY_PEERS],
  [LibtorrentErrors.timedOutNoHandshake, C.PEER_CONNECT_TIMEOUTS],
])

/**
 * Counts the end of a connection in the one metric that stands for its reason, if there is one.
 *
 * Deviation: libtorrent looks at errors of the system only. What a proxy says of the peer has the same meaning in
 * the generic category, and is counted alike.
 */
export function countClose(counters: Counters, error: ErrorCode): void {
  const counter = counterOf(error)
  if (counter !== undefined) counters.inc(counter)
}

function counterOf(error: ErrorCode): number | undefined {
  const category = error.category()
  if (category === systemCategory() || category === genericCategory()) return BY_ERRNO.get(error.value())
  if (category === miscCategory()) return error.value() === MiscErrors.eof ? C.PEER_EOF_PEERS : undefined
  return category === libtorrentCategory() ? BY_LIBTORRENT_ERROR.get(error.value()) : undefined
}
