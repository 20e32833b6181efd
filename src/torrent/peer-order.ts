/** Of two known peers, which one to connect to first, and which one to forget first. */

import { type Endpoint, isLocal } from '../core/endpoint.ts'
import { type PeerEntry, PeerSource, type PeerSources } from './peer-entry.ts'

/** What the order depends on besides the peers. */
export interface PeerOrderContext {
  /** Nothing more is wanted: peers that likely only upload come last. */
  readonly isFinished: boolean
  /** Our own endpoint as a peer with that address sees it. @see BEP 40 */
  externalEndpoint(towards: string): Endpoint
}

/** Whether to connect to `a` rather than to `b`. */
export function connectedFirst(a: PeerEntry, b: PeerEntry, context: PeerOrderContext): boolean {
  if (a.failcount !== b.failcount) return a.failcount < b.failcount
  const aLocal = isLocal(a.address)
  if (aLocal !== isLocal(b.address)) return aLocal
  if (a.lastConnected !== b.lastConnected) return a.lastConnected < b.lastConnected
  if (context.isFinished && a.maybeUploadOnly !== b.maybeUploadOnly) return b.maybeUploadOnly
  const aSource = sourceRank(a.source)
  const bSource = sourceRank(b.source)
  if (aSource !== bSource) return aSource > bSource
  return a.rank(context.externalEndpoint(a.address)) > b.rank(context.externalEndpoint(b.address))
}

/** Whether `a` is less worth keeping than `b`. */
export function erasedFirst(a: PeerEntry, b: PeerEntry): boolean {
  if (a.failcount !== b.failcount) return a.failcount > b.failcount
  const aResume = a.source === PeerSource.resumeData
  if (aResume !== (b.source === PeerSource.resumeData)) return aResume
  if (a.connectable !== b.connectable) return !a.connectable
  return a.trustPoints < b.trustPoints
}

/** Peers heard of from a tracker come first, then local discovery, DHT, exchange. */
function sourceRank(source: PeerSources): number {
  let rank = 0
  if (source & PeerSource.tracker) rank |= 8
  if (source & PeerSource.lsd) rank |= 4
  if (source & PeerSource.dht) rank |= 2
  if (source & PeerSource.pex) rank |= 1
  return rank
}
