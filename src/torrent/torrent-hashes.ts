/**
 * Exchange of v2 hashes with the peers of one torrent (BEP 52): what to ask whom for, what becomes of answers, and
 * what peers are told.
 *
 * Block hashes are not kept of pieces that are had: when a peer asks for them the piece is hashed from disk.
 */

import type { PieceIndex } from '../core/brands.ts'
import { RingQueue } from '../core/ring-queue.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { HashExchange } from '../peer/peer-host.ts'
import type { HashRequest } from '../wire/hash-messages.ts'
import type { Content } from './content.ts'
import { HashPicker } from './hash-picker.ts'
import type { HashTrees } from './hash-trees.ts'
import type { Torrent } from './torrent.ts'
import { WorkBudget } from './work-budget.ts'

/** Pieces hashed at once for peers. */
const MAX_HASHING = 2
/** Requests that wait for their piece to be hashed; more are rejected. */
const MAX_WAITING = 64
/**
 * Work for one peer, in microseconds: so much a second, and so much at once; and that for all of them. A request of 53
 * bytes can make us read and hash a whole piece: whoever asks for nothing else must not keep us busy with it.
 */
const PEER_WORK = [20_000, 500_000] as const
const ALL_WORK = [100_000, 1_000_000] as const
/** Of computing a node; of finding a piece on disk, and of reading and hashing each of its blocks. Roughly. */
const NODE_WORK = 1
const PIECE_WORK = 5000
const BLOCK_WORK = 30

interface Waiting {
  readonly peer: PeerConnection
  readonly request: HashRequest
  readonly file: number
  readonly piece: PieceIndex
  readonly done: (hashes: Uint8Array | null) => void
}

export class TorrentHashes implements HashExchange {
  readonly #torrent: Torrent
  readonly #content: Content
  readonly #trees: HashTrees
  readonly #picker: HashPicker
  readonly #waiting = new RingQueue<Waiting>()
  #hashing = 0
  readonly #work = new WorkBudget(...ALL_WORK)
  readonly #workOfPeer = new WeakMap<PeerConnection, WorkBudget>()
  #poked = false
  /** Requests of ours that were refused in this turn. */
  #refused = 0

  /** @param content of a torrent with v2 hashes */
  constructor(torrent: Torrent, content: Content, trees: HashTrees) {
    this.#torrent = torrent
    this.#content = content
    this.#trees = trees
    this.#picker = new HashPicker(content.files, trees, piece => content.havePiece(piece))
  }

  // ---- what we ask -------------------------------------------------------------------------------

  pick(peer: PeerConnection): HashRequest | null {
    const torrent = this.#torrent
    if (this.#picker.done || torrent.isPaused || torrent.aborted) return null
    const { pieces } = peer
    return this.#picker.pick(piece => pieces === 'all' || pieces.getBit(piece), torrent.env.turn.now)
  }

  received(_peer: PeerConnection, request: HashRequest, hashes: Uint8Array): boolean {
    const file = this.#trees.fileOfRoot(request.root)
    if (file < 0 || !this.#trees.isValidRequest(file, request) || !this.#picker.isAskedLike(file, request)) return false
    if (!this.#content.hashesArrived(file, request, hashes)) {
      this.#picker.rejected(file, request)
      this.#poke()
      return false
    }
    this.#picker.received(file, request)
    this.#torrent.needSave.progress()
    return true
  }

  rejected(_peer: PeerConnection, request: HashRequest): void {
    const file = this.#trees.fileOfRoot(request.root)
    if (file < 0) return
    this.#picker.rejected(file, request)
    this.#refused++
    this.#poke()
  }

  /** A piece failed: which of its blocks was it? */
  wantBlocks(piece: PieceIndex): void {
    if (this.#trees.blockHashes(piece) !== null || this.#content.geometry.blocksInPiece(piece) < 2) return
    this.#picker.wantBlocks(piece)
    this.#poke()
  }

  /** There is something to ask for. At the end of the turn: a connection that closes says no for what it was asked. */
  #poke(): void {
    if (this.#poked) return
    this.#poked = true
    this.#torrent.env.turn.later(() => {
      this.#poked = false
      this.#countRefused()
      for (const peer of this.#torrent.swarm.connections.slice()) peer.hashes.maybeRequest()
    })
  }

  #countRefused(): void {
    const { isPaused, aborted, env } = this.#torrent
    for (; this.#refused > 0; this.#refused--) {
      if (!isPaused && !aborted) this.#content.proofs?.hashesRefused(env.turn.now)
    }
  }

  // ---- what we are asked -------------------------------------------------------------------------

  answer(peer: PeerConnection, request: HashRequest, done: (hashes: Uint8Array | null) => void): void {
    const trees = this.#trees
    const file = trees.fileOfRoot(request.root)
    if (file < 0 || !trees.isValidRequest(file, request)) {
      done(null)
      return
    }
    const nodes = trees.nodesToCompute(file, request)
    if (nodes > 0 && !this.#mayWork(peer)) {
      done(null)
      return
    }
    this.#spend(peer, nodes * NODE_WORK)
    const known = trees.getHashes(file, request)
    const piece = known === null ? trees.pieceToHash(file, request) : null
    if (known !== null || piece === null || !this.#mayHash(peer, piece)) {
      done(known)
      return
    }
    this.#spend(peer, PIECE_WORK + this.#content.geometry.blocksInPiece(piece) * BLOCK_WORK)
    this.#waiting.push({ peer, request, file, piece, done })
    this.#hashNext()
  }

  #mayHash(peer: PeerConnection, piece: PieceIndex): boolean {
    if (this.#waiting.length >= MAX_WAITING || !this.#mayWork(peer)) return false
    return this.#torrent.ready && this.#content.havePiece(piece)
  }

  #mayWork(peer: PeerConnection): boolean {
    const { now } = this.#torrent.env.turn
    return this.#work.mayWork(now) && this.#budgetOf(peer).mayWork(now)
  }

  #spend(peer: PeerConnection, work: number): void {
    if (work === 0) return
    this.#work.spend(work)
    this.#budgetOf(peer).spend(work)
  }

  #budgetOf(peer: PeerConnection): WorkBudget {
    let budget = this.#workOfPeer.get(peer)
    if (budget === undefined) this.#workOfPeer.set(peer, (budget = new WorkBudget(...PEER_WORK)))
    return budget
  }

  #hashNext(): void {
    const { disk, turn } = this.#torrent.env
    while (this.#hashing < MAX_HASHING && this.#waiting.length > 0) {
      const next = this.#waiting.shift()!
      if (next.peer.disconnecting) continue
      this.#hashing++
      const want = { v1: false, v2: false, blockHashes: true }
      disk.hashPieces(this.#content.storage!, next.piece, 1, want, result =>
        turn.run('block hashes', () => {
          this.#hashing--
          const { blockHashes } = result
          const hashes =
            result.error !== null || blockHashes === null
              ? null
              : this.#trees.getHashesWith(next.file, next.request, next.piece, blockHashes)
          if (!next.peer.disconnecting) next.done(hashes)
          if (!this.#torrent.aborted) this.#hashNext()
        }),
      )
      disk.submit()
    }
  }
}
