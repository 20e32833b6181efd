/** Two connections to one peer: which of them stays. Both ends must find the same. */

import { addressKey, endpointsEqual } from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'
import type { ListedConnection } from './peer-entry.ts'

/** `self`: neither, for it is us at the other end. */
export type Survivor = 'self' | 'earlier' | 'later'

export function survivorOf(earlier: ListedConnection, later: ListedConnection, rng: Rng): Survivor {
  if (
    endpointsEqual(earlier.remote(), later.localEndpoint()) ||
    endpointsEqual(earlier.localEndpoint(), later.remote())
  ) {
    return 'self'
  }
  if (earlier.isOutgoing() === later.isOutgoing()) return 'earlier'
  // Both ends know both listen ports, and keep the connection that the one with the lower port made.
  const outgoing = later.isOutgoing()
  const ours = (outgoing ? earlier : later).localEndpoint()[1]
  const theirs = (outgoing ? later : earlier).remote()[1]
  // With the same port the address decides. A coin, as libtorrent throws, makes both ends close both connections
  // every other time, and they meet again, at the same moment, a minute later.
  const near = addressKey(later.localEndpoint()[0])
  const far = addressKey(later.remote()[0])
  const first = ours !== theirs ? ours < theirs : near !== far ? near < far : rng.below(2) === 0
  return first !== outgoing && !earlier.failed() ? 'earlier' : 'later'
}
