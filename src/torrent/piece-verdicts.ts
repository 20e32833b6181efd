/** Whom to thank for a piece that passed and to blame for one that failed: trust, parole, bans. */

import { HashFailedAlert } from '../alert/torrent-alerts.ts'
import type { PieceIndex } from '../core/brands.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import * as C from '../stats/counter-ids.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'
import { SmartBan } from './smart-ban.ts'
import type { Torrent } from './torrent.ts'

const DIGEST_SIZE = 32
/** A peer with so little trust is banned. */
const LOWEST_TRUST = -7

export class PieceVerdicts {
  readonly #torrent: Torrent
  #smartBan: SmartBan | null = null

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  suspects(piece: PieceIndex): boolean {
    return this.#smartBan?.suspects(piece) ?? false
  }

  /** @param from by block: who sent it */
  passed(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void {
    const { swarm } = this.#torrent
    for (const ref of new Set(from)) {
      const entry = swarm.entry(ref)
      if (entry === undefined) continue
      entry.onParole = false
      entry.trustPoints++
    }
    if (this.#smartBan === null || !this.#smartBan.suspects(piece)) return
    for (const ref of this.#smartBan.piecePassed(piece, digests(blockHashes))) this.#ban(ref)
  }

  failed(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void {
    const torrent = this.#torrent
    const { alerts, counters, settings } = torrent.env
    counters.inc(C.SES_NUM_PIECE_FAILED)
    if (alerts.wants(HashFailedAlert)) alerts.post(new HashFailedAlert(torrent, piece))
    const peers = new Set(from.filter(ref => ref !== NO_PEER))
    if (peers.size === 0) return // it was on disk like that
    const size = torrent.content!.geometry.pieceSize(piece)
    torrent.failedBytes += size
    counters.inc(C.NET_RECV_FAILED_BYTES, size)
    this.#smartBan ??= new SmartBan()
    const guilty = new Set(this.#smartBan.pieceFailed(piece, from, digests(blockHashes)))
    const onlyOne = peers.size === 1
    for (const ref of peers) {
      const entry = torrent.swarm.entry(ref)
      if (entry === undefined) continue
      if (settings.useParoleMode) entry.onParole = true
      entry.trustPoints -= 2
      entry.hashfails++
      const proven = onlyOne && torrent.webSeeds.mayBan(entry, piece)
      if (entry.trustPoints <= LOWEST_TRUST || proven || guilty.has(ref)) this.#ban(ref)
    }
  }

  forgetPeer(ref: PeerRef): void {
    this.#smartBan?.forgetPeer(ref)
  }

  /** Every piece is there. */
  clear(): void {
    this.#smartBan = null
  }

  #ban(ref: PeerRef): void {
    const { swarm, env } = this.#torrent
    const entry = swarm.entry(ref)
    if (entry === undefined || entry.banned) return
    swarm.ban(entry)
    env.counters.inc(C.PEER_BANNED_FOR_HASH_FAILURE)
    const peer = entry.connection as PeerConnection | null
    peer?.disconnect(libtorrentError(LibtorrentErrors.tooManyCorruptPieces), Operation.bittorrent)
  }
}

function digests(blockHashes: Uint8Array | null): (block: number) => Uint8Array | null {
  return block =>
    blockHashes === null || (block + 1) * DIGEST_SIZE > blockHashes.length
      ? null
      : blockHashes.subarray(block * DIGEST_SIZE, (block + 1) * DIGEST_SIZE)
}
