/** What becomes of pieces and blocks, for all who are to know: those to blame, peers, resume data, the user. */

import { BlockFinishedAlert } from '../alert/peer-alerts.ts'
import { FileCompletedAlert } from '../alert/storage-alerts.ts'
import { PieceFinishedAlert } from '../alert/torrent-alerts.ts'
import type { BlockIndex, FileIndex, PieceIndex } from '../core/brands.ts'
import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import * as C from '../stats/counter-ids.ts'
import type { DiskError } from '../storage/disk-io.ts'
import type { ContentHost } from './content.ts'
import { NO_PEER, type PeerRef } from './downloading-pieces.ts'
import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'

const NO_PID = new Sha1Hash()
const NO_ENDPOINT: Endpoint = ['0.0.0.0', 0]

export class PieceEvents implements ContentHost {
  readonly #torrent: Torrent

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  get hashChecksDisabled(): boolean {
    return this.#torrent.env.settings.disableHashChecks
  }

  get ready(): boolean {
    return this.#torrent.ready
  }

  suspects(piece: PieceIndex): boolean {
    return this.#torrent.verdicts.suspects(piece)
  }

  blockFinished(piece: PieceIndex, block: BlockIndex, from: PeerRef): void {
    const torrent = this.#torrent
    const { alerts } = torrent.env
    if (!alerts.wants(BlockFinishedAlert)) return
    const entry = torrent.swarm.entry(from)
    const pid = (entry?.connection as PeerConnection | null | undefined)?.pid ?? NO_PID
    alerts.post(new BlockFinishedAlert(torrent, entry?.endpoint() ?? NO_ENDPOINT, pid, block, piece))
  }

  /** Order matters: blame, then the peers' view, then alerts. `Content` marks the piece as had before this. */
  piecePassed(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void {
    const torrent = this.#torrent
    const { alerts, counters } = torrent.env
    this.#logFinished(piece, 'passed')
    logTorrent(torrent, () => `PIECE_PASSED (${piece}) (num_have: ${torrent.content!.numHave})`)
    counters.inc(C.SES_NUM_PIECE_PASSED)
    counters.inc(C.SES_NUM_HAVE_PIECES)
    torrent.verdicts.passed(piece, from, blockHashes)
    torrent.needSave.progress()
    torrent.pieceRead(piece)
    torrent.deadlines.pieceDone(piece)
    torrent.swarm.announcePiece(piece)
    if (alerts.wants(PieceFinishedAlert)) alerts.post(new PieceFinishedAlert(torrent, piece))
    torrent.stateUpdated()
  }

  pieceFailed(
    piece: PieceIndex,
    from: readonly PeerRef[],
    blockHashes: Uint8Array | null,
    bad: readonly BlockIndex[] | null,
  ): void {
    this.#logFinished(piece, 'failed')
    this.#torrent.verdicts.failed(piece, from, blockHashes, bad)
    const { hashes } = this.#torrent
    if (hashes !== null && bad === null && from.some(ref => ref !== NO_PEER)) {
      logTorrent(this.#torrent, () => `Piece ${piece} hash failure, requesting block hashes`)
      hashes.wantBlocks(piece)
    }
    this.#wantAgain()
  }

  pieceDoubted(piece: PieceIndex, from: readonly PeerRef[], blockHashes: Uint8Array | null): void {
    this.#logFinished(piece, 'doubted')
    this.#torrent.verdicts.doubted(piece, from, blockHashes)
    this.#wantAgain()
  }

  blockFailed(piece: PieceIndex, block: BlockIndex, from: PeerRef): void {
    logTorrent(this.#torrent, () => `block ${block} of piece ${piece} hash failure`)
    this.#torrent.verdicts.blockFailed(piece, block, from)
    this.#wantAgain()
  }

  #wantAgain(): void {
    const { swarm, env } = this.#torrent
    env.turn.later(() => swarm.updateInterest(C.PICKER_HASH_FAIL_PIECE_PICKS))
  }

  blockHashesKnown(piece: PieceIndex, hashes: Uint8Array): void {
    this.#torrent.verdicts.blockHashesKnown(piece, hashes)
  }

  inconsistentHashes(piece: PieceIndex): void {
    this.#torrent.inconsistentHashes(piece)
  }

  get mayMakeLayers(): boolean {
    const { ready, isPaused, aborted, seedMode, errors } = this.#torrent
    // in seed mode nothing is hashed before it is asked for
    return ready && !isPaused && !aborted && seedMode === null && !errors.code.failed() && !this.hashChecksDisabled
  }

  layersGrew(): void {
    this.#torrent.needSave.progress()
  }

  pieceSpoilt(_piece: PieceIndex): void {
    this.#torrent.checker.forceRecheck()
  }

  readFailed(error: DiskError): void {
    this.#torrent.errors.disk(error, 'read')
  }

  #logFinished(piece: PieceIndex, outcome: string): void {
    const torrent = this.#torrent
    const size = () => torrent.content!.geometry.pieceSize(piece)
    logTorrent(torrent, () => `*** PIECE_FINISHED [ p: ${piece} | chk: ${outcome} | size: ${size()} ]`)
  }

  writeFailed(error: DiskError, piece: PieceIndex): void {
    this.#logFinished(piece, 'disk failed')
    this.#torrent.errors.disk(error, 'write')
  }

  fileCompleted(file: FileIndex): void {
    const torrent = this.#torrent
    const { alerts } = torrent.env
    if (alerts.wants(FileCompletedAlert)) alerts.post(new FileCompletedAlert(torrent, file))
    torrent.content!.layers?.fileCompleted(file)
  }

  wantedComplete(): void {
    this.#torrent.completion.wantedComplete()
  }
}
