import { describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import * as C from '../../src/stats/counter-ids.ts'
import { type Arena, inArena, u32 } from './lib/arena.ts'
import { type BlockRequest, type FakePeer, PeerMessage as M } from './lib/fake-peer.ts'

const MIB = 1024 * 1024

/** Answers each request, a few bytes at a time. */
class Trickler {
  readonly #peer: FakePeer
  readonly #content: Uint8Array
  readonly #pieceLength: number
  #sending: { readonly request: BlockRequest; at: number } | null = null

  constructor(peer: FakePeer, content: Uint8Array, pieceLength: number) {
    this.#peer = peer
    this.#content = content
    this.#pieceLength = pieceLength
    peer.onHandshake = () => {
      peer.send(M.haveAll)
      peer.send(M.unchoke)
    }
  }

  send(bytes: number): void {
    if (this.#peer.closed !== null) return
    let left = bytes
    while (left > 0) {
      if (this.#sending === null) {
        const request = this.#peer.requests.shift()
        if (request === undefined) return
        this.#sending = { request, at: 0 }
        this.#peer.raw(u32(9 + request.length), Uint8Array.of(M.piece), u32(request.piece, request.begin))
      }
      const { request, at } = this.#sending
      const from = request.piece * this.#pieceLength + request.begin + at
      const part = this.#content.subarray(from, from + Math.min(left, request.length - at))
      this.#peer.raw(part)
      left -= part.length
      this.#sending.at += part.length
      if (this.#sending.at === request.length) this.#sending = null
    }
  }
}

/** While a peer waits for memory, something is on its way to the disk that will free some. */
function forwardProgress(arena: Arena): void {
  const { engine } = arena.victim
  let waiting = false
  for (const peer of engine.connections) if (peer.receiving.pausedForMemory) waiting = true
  if (!waiting) return
  const writing = [...engine.registry.all()].some(torrent => torrent.content?.writing === true)
  expect(writing, `at ${arena.sim.clock.now()} peers wait for memory and nothing is being written`).toBe(true)
}

describe('memory for blocks', () => {
  test('five hundred trickling peers on pieces of 16 MiB make progress in 32 MiB', () => {
    const settings = { connections_limit: 600, max_queued_disk_bytes: 32 * MIB, request_timeout: 60 }
    const options = { alone: true, pieces: 6, pieceLength: 16 * MIB, victim: { settings } }
    inArena(400, options, arena => {
      const { slots } = arena.victim.engine.disk
      expect(slots.budget).toBe((32 * MIB) / BLOCK_SIZE)
      const hosts = [...Array(500).keys()].map(() => arena.host())
      const tricklers = hosts.map(host => new Trickler(arena.attack({}, host), arena.torrent.content, 16 * MIB))
      arena.sim.run(3000)
      let most = 0
      let rounds = 0
      let before = 0
      for (; rounds < 400 && !arena.victim.isSeeding; rounds++) {
        for (const trickler of tricklers) trickler.send(5000)
        for (let i = 0; i < 4; i++) {
          arena.sim.run(250)
          most = Math.max(most, slots.inUse)
          forwardProgress(arena)
        }
        if (rounds % 40 === 39) {
          const { totalDone } = arena.victim.handle.status()
          expect(totalDone, `after ${rounds} s`).toBeGreaterThan(before)
          before = totalDone
        }
      }
      expect(arena.victim.isSeeding).toBe(true)
      expect(most).toBeLessThanOrEqual(slots.budget)
      arena.finish()
    })
  })

  test('peers that begin a block of each piece and stop do not hold up the others', () => {
    const settings = { connections_limit: 600, max_queued_disk_bytes: 32 * MIB }
    const options = { pieces: 64, pieceLength: MIB, seedRate: 2_000_000, victim: { settings } }
    inArena(401, options, arena => {
      const stallers = [...Array(150).keys()].map(() => {
        const peer = arena.attack()
        return { peer, trickler: new Trickler(peer, arena.torrent.content, MIB) }
      })
      arena.sim.run(1000)
      for (let i = 0; i < 20; i++) {
        for (const { trickler } of stallers) trickler.send(100)
        arena.sim.run(500)
        forwardProgress(arena)
      }
      arena.finish(300_000)
    })
  })

  test('a disk that hangs stops the reading, not the session, and then all goes on', () => {
    const settings = { max_queued_disk_bytes: 32 * MIB }
    inArena(402, { pieces: 80, pieceLength: MIB, seedRate: 20_000_000, victim: { settings } }, arena => {
      const { slots } = arena.victim.engine.disk
      arena.victim.drive.hang()
      for (let i = 0; i < 60; i++) {
        arena.sim.run(1000)
        expect(slots.inUse).toBeLessThanOrEqual(slots.budget)
      }
      expect(arena.victim.isSeeding).toBe(false)
      const { engine } = arena.victim
      engine.turn.call(() => engine.postSessionStats())
      const waiting = [...engine.connections].filter(peer => peer.receiving.pausedForMemory).length
      expect(engine.counters.get(C.PEER_NUM_PEERS_DOWN_DISK)).toBe(waiting)
      expect(waiting).toBe(1)
      expect(engine.counters.get(C.DISK_NUM_UNHASHED)).toBe(slots.inUse)
      arena.victim.drive.unhang()
      arena.finish(300_000)
    })
  })

  test('memory that is only reserved does not stop the asking for good', () => {
    const settings = { connections_limit: 600, max_queued_disk_bytes: 32 * MIB }
    const options = { pieces: 64, pieceLength: MIB, seedRate: 1_000_000, victim: { settings } }
    inArena(403, options, arena => {
      const { slots } = arena.victim.engine.disk
      const peers = [...Array(150).keys()].map(() => arena.attack())
      arena.sim.run(1000)
      const stallers = peers.map((peer, i) => {
        peer.sendHave(i % 64)
        peer.send(M.unchoke)
        return new Trickler(peer, arena.torrent.content, MIB)
      })
      arena.sim.run(1000)
      for (const staller of stallers) staller.send(100)
      arena.sim.run(1000)
      expect(slots.inUse).toBeGreaterThan(slots.budget * 0.5)
      // for a moment others need most of the rest
      const others: number[] = []
      while (!slots.underPressure) others.push(slots.allocate())
      arena.sim.run(50)
      for (const slot of others) slots.release(slot)
      for (let i = 0; i < 100; i++) {
        for (const staller of stallers) staller.send(1)
        arena.sim.run(1000)
      }
      expect(arena.victim.handle.status().progress).toBeGreaterThan(0.7)
      arena.finish(600_000)
    })
  })
})
