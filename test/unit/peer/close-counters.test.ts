import { constants } from 'node:os'
import { expect, test } from 'vitest'
import {
  ErrorCode,
  errnoError,
  genericCategory,
  libtorrentError,
  MiscErrors,
  miscCategory,
  NO_ERROR,
  sslCategory,
} from '../../../src/core/error-code.ts'
import { LibtorrentErrors as E } from '../../../src/core/error-table.ts'
import { countClose } from '../../../src/peer/close-counters.ts'
import { Counters } from '../../../src/stats/counters.ts'
import { sessionStatsMetrics } from '../../../src/stats/metric-table.ts'

/** The metrics that went up, with their values. */
function counted(error: ErrorCode): Record<string, number> {
  const counters = new Counters()
  countClose(counters, error)
  const found: Record<string, number> = {}
  for (const { name, valueIndex } of sessionStatsMetrics()) {
    if (counters.get(valueIndex) !== 0) found[name] = counters.get(valueIndex)
  }
  return found
}

test.each([
  ['ECONNRESET', 'connreset'],
  ['ECONNREFUSED', 'connrefused'],
  ['ECONNABORTED', 'connaborted'],
  ['ENOTCONN', 'notconnected'],
  ['EPERM', 'perm'],
  ['ENOBUFS', 'buffer'],
  ['EHOSTUNREACH', 'unreachable'],
  ['EPIPE', 'broken_pipe'],
  ['EADDRINUSE', 'addrinuse'],
  ['EACCES', 'no_access'],
  ['EINVAL', 'invalid_arg'],
  ['ECANCELED', 'aborted'],
  ['ETIMEDOUT', 'transport_timeout'],
] as const)('a connection that ends with %s counts as %s', (errno, name) => {
  const expected = { [`peer.${name}_peers`]: 1 }
  expect(counted(errnoError(errno))).toEqual(expected)
  // as proxies say it
  expect(counted(new ErrorCode(constants.errno[errno], genericCategory()))).toEqual(expected)
})

test.each([
  [E.uploadUploadConnection, 'peer.uninteresting_peers'],
  [E.uninterestingUploadPeer, 'peer.uninteresting_peers'],
  [E.torrentAborted, 'peer.uninteresting_peers'],
  [E.selfConnection, 'peer.uninteresting_peers'],
  [E.torrentPaused, 'peer.uninteresting_peers'],
  [E.timedOut, 'peer.transport_timeout_peers'],
  [E.timedOutInactivity, 'peer.timeout_peers'],
  [E.timedOutNoRequest, 'peer.timeout_peers'],
  [E.timedOutNoInterest, 'peer.timeout_peers'],
  [E.noMemory, 'peer.no_memory_peers'],
  [E.tooManyConnections, 'peer.too_many_peers'],
  [E.timedOutNoHandshake, 'peer.connect_timeouts'],
] as const)('a connection that we end with %i counts as %s', (error, name) => {
  expect(counted(libtorrentError(error))).toEqual({ [name]: 1 })
})

test('the end of the stream has its own; other errors have none, whatever their number', () => {
  expect(counted(new ErrorCode(MiscErrors.eof, miscCategory()))).toEqual({ 'peer.eof_peers': 1 })
  for (const error of [
    NO_ERROR,
    errnoError('ENETUNREACH'),
    libtorrentError(E.invalidMessage),
    new ErrorCode(MiscErrors.notFound, miscCategory()),
    new ErrorCode(constants.errno.ECONNRESET, sslCategory()),
    libtorrentError(constants.errno.ECONNRESET as never),
  ]) {
    expect(counted(error), String(error)).toEqual({})
  }
})
