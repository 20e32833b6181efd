/** The shape of the generated setting tables. */

import type { SettingFields } from './setting-fields.ts'

/** What has to be brought up to date when a setting's value changes; the session maps each to an action. */
export type EffectTag =
  | 'outgoingInterfaces'
  | 'listenInterfaces'
  | 'proxy'
  | 'i2pBridge'
  | 'dhtBootstrapNodes'
  | 'countSlow'
  | 'reportWebSeedDownloads'
  | 'privilegedPorts'
  | 'upnp'
  | 'natpmp'
  | 'lsd'
  | 'dht'
  | 'autoSequential'
  | 'ipNotifier'
  | 'validateHttps'
  | 'wantPeers'
  | 'maxFailcount'
  | 'peerDscp'
  | 'autoManage'
  | 'socketBufferSize'
  | 'dhtAnnounceInterval'
  | 'uploadRate'
  | 'downloadRate'
  | 'unchokeLimit'
  | 'connectionsLimit'
  | 'alertQueueSize'
  | 'alertMask'
  | 'resolverCacheTimeout'
  | 'disk'

/** One setting. */
export interface SettingRow<T extends string | number | boolean> {
  /** As users write it: `connections_limit`. */
  readonly name: string
  readonly field: keyof SettingFields
  /** libtorrent's number: kind in bits 14 and 15, index below. */
  readonly id: number
  /** The default. */
  readonly initial: T
  readonly effects: readonly EffectTag[]
}
