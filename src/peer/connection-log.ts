/** Puts the beginning and the end of connections into words, for programs that want `PeerLogAlert`s. */

import { socketTypeName } from '../alert/alert.ts'
import { endpointToString, isV4 } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { MiscErrors, miscCategory } from '../core/error-code.ts'
import { errorText } from '../core/log-text.ts'
import { type Operation, operationName } from '../core/operation.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'

/** A connection that ends so soon, by the other side and without an error, is worth a line of its own. */
const SHORT_LIFE_MS = 15_000

const EVENTS = {
  [Severity.normal]: 'connectionClosed',
  [Severity.failure]: 'connectionFailed',
  [Severity.peerError]: 'peerError',
} as const

/** It has come, or was begun. */
export function logOpened(peer: PeerConnection): void {
  if (!peer.logsMessages) return
  const remote = endpointToString(peer.endpoint)
  const text = `ep: ${remote} type: ${socketTypeName(peer.socketType)} seed: ${+(peer.entry?.seed ?? false)} local: ${endpointToString(peer.localEndpoint())}`
  peer.log(peer.outgoing ? 'outgoing' : 'incoming', 'connection', text)
  if (!peer.connecting) return
  peer.log('outgoing', 'open', `protocol: ${isV4(peer.endpoint[0]) ? 'IPv4' : 'IPv6'}`)
  peer.log('outgoing', 'asyncConnect', `dst: ${remote}`)
}

export function logEstablished(peer: PeerConnection): void {
  if (!peer.logsMessages) return
  peer.log('outgoing', 'connectionEstablished', `ep: ${endpointToString(peer.endpoint)}`)
  peer.log('info', 'localEndpoint', `e: ${endpointToString(peer.localEndpoint())}`)
}

export function logConnectFailed(peer: PeerConnection, error: ErrorCode): void {
  if (!peer.logsMessages) return
  peer.log('info', 'connectionFailed', `${endpointToString(peer.endpoint)} ${errorText(error)}`)
}

/** It ends: by whom, where and why. */
export function logClosed(peer: PeerConnection, error: ErrorCode, operation: Operation, severity: Severity): void {
  if (!peer.logsMessages) return
  peer.log('info', EVENTS[severity], `op: ${operation} (${operationName(operation)}) ${errorText(error)}`)
  const isEnd = error.category() === miscCategory() && error.value() === MiscErrors.eof
  const isShort = peer.session.turn.now - peer.createdAt < SHORT_LIFE_MS
  if (isEnd && isShort && !peer.inHandshake && !peer.connecting) peer.log('info', 'shortLivedDisconnect')
}
