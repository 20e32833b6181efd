import { expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { BlockState } from '../../../src/torrent/downloading-pieces.ts'
import { type BlockId, PickOption } from '../../../src/torrent/pick-blocks.ts'
import { viewPiece } from '../../../src/torrent/picker-views.ts'
import { PiecePicker } from '../../../src/torrent/piece-picker.ts'

const BLOCK = 16384

interface ModelPeer {
  ref: number
  has: Bitfield
  /** Blocks it is asked for. */
  requests: Map<BlockId, number>
}

/**
 * A swarm of random peers downloads a torrent, in every way the picker can be used, beside a model that
 * keeps sets and counts in the plainest way.
 */
class Model {
  readonly rng: SeededRng
  readonly picker: PiecePicker
  readonly pieces: number
  readonly peers: ModelPeer[] = []
  readonly have = new Set<number>()
  #refs = 0

  constructor(seed: number) {
    this.rng = new SeededRng(seed)
    this.pieces = 1 + this.rng.below(60)
    const perPiece = 1 + this.rng.below(6)
    const last = 1 + this.rng.below(perPiece * BLOCK)
    const size = (this.pieces - 1) * perPiece * BLOCK + last
    this.picker = new PiecePicker(size, perPiece * BLOCK, this.rng.fork('picker'))
  }

  step(): void {
    const { rng } = this
    const action = rng.below(100)
    if (action < 6) this.join()
    else if (action < 10) this.leave()
    else if (action < 25) this.peerGains()
    else if (action < 27) this.peerLoses()
    else if (action < 60) this.request()
    else if (action < 85) this.receive()
    else if (action < 90) this.abort()
    else if (action < 94) this.judge()
    else if (action < 98) this.picker.setPiecePriority(rng.below(this.pieces), rng.below(8))
    else this.lose()
  }

  join(): void {
    if (this.peers.length > 12) return
    const has = new Bitfield(this.pieces)
    const density = this.rng.below(5)
    for (let i = 0; i < this.pieces; i++) if (density === 4 || this.rng.below(4) < density) has.setBit(i)
    this.picker.addPeerPieces(has.allSet() && this.rng.below(2) === 0 ? 'all' : has)
    this.peers.push({ ref: ++this.#refs, has, requests: new Map() })
  }

  leave(): void {
    const peer = this.peers.splice(this.rng.below(this.peers.length + 1), 1)[0]
    if (peer === undefined) return
    for (const id of peer.requests.keys()) {
      this.picker.abortDownload(this.picker.pieceOf(id), this.picker.blockOf(id), peer.ref)
    }
    this.picker.removePeerPieces(peer.has)
    this.picker.clearPeer(peer.ref)
  }

  peer(): ModelPeer | undefined {
    return this.peers[this.rng.below(this.peers.length || 1)]
  }

  peerGains(): void {
    const peer = this.peer()
    const piece = this.rng.below(this.pieces)
    if (peer === undefined || peer.has.getBit(piece)) return
    peer.has.setBit(piece)
    this.picker.incRefcount(piece)
  }

  peerLoses(): void {
    const peer = this.peer()
    const piece = this.rng.below(this.pieces)
    if (peer === undefined || !peer.has.getBit(piece)) return
    peer.has.clearBit(piece)
    this.picker.decRefcount(piece)
  }

  request(): void {
    const peer = this.peer()
    if (peer === undefined) return
    const { picker, rng } = this
    let options = [PickOption.rarestFirst, PickOption.sequential, 0][rng.below(3)]!
    for (const more of [
      PickOption.reverse,
      PickOption.onParole,
      PickOption.prioritizePartials,
      PickOption.alignExpandedPieces,
      PickOption.pieceExtentAffinity,
    ]) {
      if (rng.below(4) === 0) options |= more
    }
    const out: BlockId[] = []
    const contiguous = rng.below(3) === 0 ? rng.below(20) : 0
    const suggested = rng.below(3) === 0 ? [rng.below(this.pieces), rng.below(this.pieces)] : []
    const count = 1 + rng.below(12)
    picker.pickBlocks(peer.has, count, contiguous, peer.ref, options, out, suggested, this.peers.length)
    expect(new Set(out).size).toBe(out.length)
    if (contiguous === 0) expect(out.length).toBeLessThanOrEqual(count)
    let open = 0
    for (const id of out) {
      const piece = picker.pieceOf(id)
      const block = picker.blockOf(id)
      expect(block).toBeLessThan(picker.blocksInPiece(piece))
      expect(peer.has.getBit(piece)).toBe(true)
      expect(picker.isWanted(piece)).toBe(true)
      const state = picker.blockState(piece, block)
      expect(state).toBeLessThanOrEqual(BlockState.requested)
      if (state === BlockState.none) open++
      if (peer.requests.has(id)) continue
      expect(picker.markAsDownloading(piece, block, peer.ref, options)).toBe(true)
      peer.requests.set(id, 1)
    }
    // Nothing pickable is withheld: with room left, every open block the peer could send has been given.
    if (out.length < count && !(options & PickOption.onParole)) this.checkNothingLeft(peer)
    expect(open).toBeLessThanOrEqual(out.length)
  }

  checkNothingLeft(peer: ModelPeer): void {
    const { picker } = this
    for (let piece = 0; piece < this.pieces; piece++) {
      if (!peer.has.getBit(piece) || !picker.isWanted(piece) || viewPiece(picker, piece).locked) continue
      for (let b = 0; b < picker.blocksInPiece(piece); b++) {
        if (picker.blockState(piece, b) === BlockState.none) throw new Error(`block ${piece}:${b} was not given`)
      }
    }
  }

  receive(): void {
    const peer = this.peer()
    const id = peer?.requests.keys().next().value
    if (peer === undefined || id === undefined) return
    peer.requests.delete(id)
    const piece = this.picker.pieceOf(id)
    const block = this.picker.blockOf(id)
    if (viewPiece(this.picker, piece).locked) {
      this.picker.abortDownload(piece, block, peer.ref)
      return
    }
    if (!this.picker.markAsWriting(piece, block, peer.ref)) return
    expect(this.picker.downloader(piece, block)).toBe(peer.ref)
    // Whoever else was asked for it has been relieved.
    for (const other of this.peers) other.requests.delete(id)
    if (this.rng.below(3) === 0) this.picker.markAsFinished(piece, block)
  }

  abort(): void {
    const peer = this.peer()
    const id = peer?.requests.keys().next().value
    if (peer === undefined || id === undefined) return
    peer.requests.delete(id)
    this.picker.abortDownload(this.picker.pieceOf(id), this.picker.blockOf(id), peer.ref)
  }

  /** Hashes a complete piece. */
  judge(): void {
    for (let piece = 0; piece < this.pieces; piece++) {
      const { picker } = this
      if (picker.havePiece(piece) || !picker.isPieceFinished(piece)) continue
      const fate = this.rng.below(4)
      if (fate === 0) {
        picker.lockPiece(piece)
        picker.checkInvariant()
        picker.restorePiece(piece)
        this.have.delete(piece)
      } else if (fate === 1) {
        this.have.add(piece)
        for (let b = 0; b < picker.blocksInPiece(piece); b++) picker.markAsFinished(piece, b)
        picker.weHave(piece)
        expect(picker.havePiece(piece)).toBe(true)
      } else if (fate === 2) {
        const block = this.rng.below(picker.blocksInPiece(piece))
        if (picker.blockState(piece, block) === BlockState.writing) {
          picker.writeFailed(piece, block)
          this.have.delete(piece)
          picker.checkInvariant()
          picker.restorePiece(piece, [block])
        }
      } else {
        this.have.add(piece)
        picker.weHave(piece)
      }
      return
    }
  }

  lose(): void {
    const piece = this.rng.below(this.pieces)
    for (const peer of this.peers) {
      for (const id of peer.requests.keys()) if (this.picker.pieceOf(id) === piece) peer.requests.delete(id)
    }
    this.picker.weDontHave(piece)
    this.have.delete(piece)
  }

  check(): void {
    const { picker } = this
    picker.checkInvariant()
    expect(picker.counts.numHave()).toBe(this.have.size)
    let wanted = 0
    for (let i = 0; i < this.pieces; i++) {
      let count = 0
      for (const peer of this.peers) if (peer.has.getBit(i)) count++
      if (picker.availability(i) !== count) throw new Error(`availability of ${i}`)
      if (picker.havePiece(i) !== this.have.has(i)) throw new Error(`have of ${i}`)
      if (!this.have.has(i) && picker.piecePriority(i) > 0) wanted++
    }
    expect(picker.counts.numWantLeft()).toBe(wanted)
    expect(picker.counts.isFinished()).toBe(wanted === 0)
    for (const peer of this.peers) {
      let interesting = false
      for (let i = 0; i < this.pieces && !interesting; i++) interesting = peer.has.getBit(i) && picker.isWanted(i)
      expect(picker.isInteresting(peer.has)).toBe(interesting)
      for (const id of peer.requests.keys()) {
        if (!picker.isRequested(picker.pieceOf(id), picker.blockOf(id))) throw new Error(`${id} is not requested`)
      }
    }
  }
}

test('whatever happens in a swarm, the picker agrees with a plain model of it', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const model = new Model(seed)
    try {
      for (let i = 0; i < 300; i++) {
        model.step()
        if (i % 3 === 0) model.check()
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
})

test('a swarm without failures downloads everything, asking for no block twice before end game', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const rng = new SeededRng(seed)
    const pieces = 40
    const picker = new PiecePicker(pieces * 4 * BLOCK - 5, 4 * BLOCK, rng.fork('picker'))
    const peers = Array.from({ length: 6 }, (_, i) => {
      const has = new Bitfield(pieces)
      for (let p = 0; p < pieces; p++) if (i === 0 || rng.below(2) === 0) has.setBit(p)
      picker.addPeerPieces(has)
      return { ref: i + 1, has, queue: [] as BlockId[] }
    })
    let requests = 0
    for (let turn = 0; !picker.counts.isSeeding(); turn++) {
      expect(turn, `seed ${seed} gets on`).toBeLessThan(2000)
      const peer = peers[rng.below(peers.length)]!
      if (peer.queue.length === 0) {
        const out: BlockId[] = []
        picker.pickBlocks(peer.has, 5, 0, peer.ref, PickOption.rarestFirst, out, [], peers.length)
        for (const id of out) {
          if (picker.numPeers(picker.pieceOf(id), picker.blockOf(id)) > 0) continue
          picker.markAsDownloading(picker.pieceOf(id), picker.blockOf(id), peer.ref)
          peer.queue.push(id)
          requests++
        }
        continue
      }
      const id = peer.queue.shift()!
      const piece = picker.pieceOf(id)
      expect(picker.markAsWriting(piece, picker.blockOf(id), peer.ref)).toBe(true)
      if (!picker.isPieceFinished(piece)) continue
      picker.weHave(piece)
    }
    expect(requests).toBe(pieces * 4)
    picker.checkInvariant()
  }
})
