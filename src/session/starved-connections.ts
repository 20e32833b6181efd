/** Connections that are not read because there is no memory for blocks: sees to it that some is freed, and that they go on. */

import type { PeerConnection } from '../peer/peer-connection.ts'
import * as C from '../stats/counter-ids.ts'
import type { DiskIo } from '../storage/disk-io.ts'
import type { TorrentRegistry } from './torrent-registry.ts'

/** What is needed of the session. */
export interface StarvedPort {
  /** All that have a torrent. */
  readonly connections: Iterable<PeerConnection>
  readonly slots: Pick<DiskIo['slots'], 'underPressure'>
  readonly registry: Pick<TorrentRegistry, 'memoryShort' | 'isWriting'>
}

export class StarvedConnections {
  readonly #port: StarvedPort

  constructor(port: StarvedPort) {
    this.#port = port
  }

  tick(): void {
    const { connections, slots, registry } = this.#port
    let starved = false
    for (const peer of connections) {
      if (!peer.receiving.pausedForMemory) continue
      if (!starved) registry.memoryShort()
      starved = true
      peer.receiving.resume()
    }
    // Nobody asks for more while memory is short: what is not written or given up now would stay for good.
    if (slots.underPressure && !starved && !registry.isWriting) registry.memoryShort()
  }

  /** Memory is short no more: what was not asked for meanwhile is. */
  memoryFree(): void {
    for (const peer of this.#port.connections) {
      if (peer.receiving.pausedForMemory) peer.receiving.resume()
      if (peer.disconnecting || peer.peerChoking || !peer.amInterested) continue
      peer.download.refill(C.PICKER_INCOMING_PIECE_PICKS)
    }
  }
}
