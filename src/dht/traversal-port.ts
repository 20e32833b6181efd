/** What lookups see of the node they run on. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { Rng } from '../core/rng.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { Counters } from '../stats/counters.ts'
import type { DhtLog } from './dht-log.ts'
import type { NodeEntry } from './node-entry.ts'
import type { RpcManager } from './rpc-manager.ts'
import type { SecretIds } from './secret-id.ts'
import type { Traversal } from './traversal.ts'

/** The settings that lookups and queries obey. */
export type TraversalSettings = Pick<
  SessionSettings,
  'dhtAggressiveLookups' | 'dhtPreferVerifiedNodeIds' | 'dhtRestrictSearchIps' | 'dhtSearchBranching'
>

/** The part of a routing table that lookups use. */
export interface TraversalTable {
  /** Nodes of a full bucket, which is how many a lookup is after. */
  readonly bucketSize: number
  /** Where to begin when nothing is known. */
  readonly routerNodes: Iterable<Endpoint>
  /** Nodes closest to `target`, the closest first. */
  findNode(target: Sha1Hash, count?: number, includeFailed?: boolean): readonly NodeEntry[]
  /** Another node says that this one exists. */
  heardAbout(id: Sha1Hash, endpoint: Endpoint): void
  /** A query to it got no answer. */
  nodeFailed(id: Sha1Hash, endpoint: Endpoint): void
}

/** One node of the DHT, as its lookups see it. */
export interface TraversalNode {
  /** Our id; it may change while a lookup runs. */
  readonly nid: Sha1Hash
  readonly table: TraversalTable
  readonly rpc: RpcManager
  readonly settings: TraversalSettings
  readonly rng: Rng
  readonly secretIds: SecretIds
  readonly counters: Counters
  readonly log: DhtLog | null
  /** Family of the node's socket. */
  readonly family: 4 | 6
  /** Key of the nodes of that family in responses. */
  readonly nodesKey: 'nodes' | 'nodes6'
  /** ms of the session's clock. */
  now(): number
  /** A number for the next lookup, for the log. */
  searchId(): number
  /** Called before a `get_peers` is sent. @param sent what is asked for instead of `target` */
  outgoingGetPeers(target: Sha1Hash, sent: Sha1Hash, to: Endpoint): void
  /** Pings a node so that it gets into the table if it answers. */
  addNode(endpoint: Endpoint): void
  /** A lookup runs from here ... */
  addTraversal(traversal: Traversal): void
  /** ... to here. */
  removeTraversal(traversal: Traversal): void
}
