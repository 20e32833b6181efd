/** Whom to thank for a piece that passed and to blame for one that failed: trust, parole, bans. */

import { HashFailedAlert } from '../alert/torrent-alerts.ts'
import type { BlockIndex, PieceIndex } from '../core/brands.ts'
import { endpointToString } from '../core/endpoint.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import * as C from '../stats/counter-ids.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'
import { SmartBan } from './smart-ban.ts'
import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'

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

  /**
   * A block is not what its hash says: whoever sent it is guilty.
   *
   * @see BEP 52
   */
  blockFailed(piece: PieceIndex, block: BlockIndex, from: PeerRef): void {
    this.#countFailed(this.#torrent.content!.geometry.blockSize(piece, block))
    this.#distrust([from], ref => this.#mayBan(ref, piece))
  }

  /** The hashes of the blocks of a piece that failed have come: now it is known who sent what was bad. */
  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void {
    for (const ref of this.#smartBan?.piecePassed(piece, digests(hashes)) ?? []) this.#ban(ref)
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

  /**
   * @param from by block: who sent it
   * @param bad  the blocks that are wrong; `null`: that is not known
   */
  failed(
    piece: PieceIndex,
    from: readonly PeerRef[],
    blockHashes: Uint8Array | null,
    bad: readonly BlockIndex[] | null,
  ): void {
    const torrent = this.#torrent
    const { alerts, counters } = torrent.env
    const { geometry } = torrent.content!
    counters.inc(C.SES_NUM_PIECE_FAILED)
    if (alerts.wants(HashFailedAlert)) alerts.post(new HashFailedAlert(torrent, piece))
    const senders = bad === null || bad.length === 0 ? from : bad.map(block => from[block] ?? NO_PEER)
    const peers = new Set(senders.filter(ref => ref !== NO_PEER))
    if (peers.size === 0) return // it was on disk like that
    if (bad !== null && bad.length > 0) {
      this.#countFailed(bad.reduce((sum, block) => sum + geometry.blockSize(piece, block), 0))
      this.#distrust(peers, ref => this.#mayBan(ref, piece))
      return
    }
    this.#countFailed(geometry.pieceSize(piece))
    this.#smartBan ??= new SmartBan()
    const guilty = new Set(this.#smartBan.pieceFailed(piece, from, digests(blockHashes)))
    const isSole = peers.size === 1 && this.#allKnown(piece, from)
    this.#distrust(peers, ref => guilty.has(ref) || (isSole && this.#mayBan(ref, piece)))
  }

  /**
   * Whether it is known of all blocks who sent them. Those that were on disk may be of a peer of an earlier session, or
   * of one that is forgotten: then nobody is to blame for the whole piece.
   */
  #allKnown(piece: PieceIndex, from: readonly PeerRef[]): boolean {
    const blocks = this.#torrent.content!.picker?.payloadBlocks(piece) ?? from.length
    for (let block = 0; block < blocks; block++) if (from[block] === NO_PEER) return false
    return true
  }

  /**
   * A piece is one of several of which one at least is wrong: it is got again, and who sent what is kept until it is
   * known to be right or wrong. Nobody is blamed but who has sent a block in two versions.
   *
   * @param from by block: who sent it
   */
  doubted(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void {
    const torrent = this.#torrent
    const { alerts, counters } = torrent.env
    counters.inc(C.SES_NUM_PIECE_FAILED)
    if (alerts.wants(HashFailedAlert)) alerts.post(new HashFailedAlert(torrent, piece))
    if (from.every(ref => ref === NO_PEER)) return
    this.#countFailed(torrent.content!.geometry.pieceSize(piece))
    this.#smartBan ??= new SmartBan()
    for (const ref of this.#smartBan.pieceFailed(piece, from, digests(blockHashes))) this.#ban(ref)
  }

  #countFailed(bytes: number): void {
    this.#torrent.failedBytes += bytes
    this.#torrent.env.counters.inc(C.NET_RECV_FAILED_BYTES, bytes)
  }

  #distrust(peers: Iterable<PeerRef>, isGuilty: (ref: PeerRef) => boolean): void {
    const { swarm, env } = this.#torrent
    for (const ref of peers) {
      const entry = swarm.entry(ref)
      if (entry === undefined) continue
      if (env.settings.useParoleMode) entry.onParole = true
      entry.trustPoints -= 2
      entry.hashfails++
      if (entry.trustPoints <= LOWEST_TRUST || isGuilty(ref)) this.#ban(ref)
    }
  }

  /** Whether the sender of what is bad is banned for it. */
  #mayBan(ref: PeerRef, piece: PieceIndex): boolean {
    const entry = this.#torrent.swarm.entry(ref)
    return entry !== undefined && this.#torrent.webSeeds.mayBan(entry, piece)
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
    logTorrent(this.#torrent, () => `*** BANNING PEER: "${endpointToString(entry.endpoint())}" Too many corrupt pieces`)
    peer?.log('info', 'banningPeer', 'Too many corrupt pieces')
    peer?.disconnect(libtorrentError(LibtorrentErrors.tooManyCorruptPieces), Operation.bittorrent)
  }
}

function digests(blockHashes: Uint8Array | null): (block: number) => Uint8Array | null {
  return block =>
    blockHashes === null || (block + 1) * DIGEST_SIZE > blockHashes.length
      ? null
      : blockHashes.subarray(block * DIGEST_SIZE, (block + 1) * DIGEST_SIZE)
}
