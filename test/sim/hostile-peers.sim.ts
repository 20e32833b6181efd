import { describe, expect, test } from 'vitest'
import { PeerBanAlert } from '../../src/alert/peer-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import { SeededRng } from '../../src/core/rng.ts'
import type { PeerConnection } from '../../src/peer/peer-connection.ts'
import { ARENA_PIECE, ARENA_PIECES, type Arena, inArena, u32 } from './lib/arena.ts'
import { type FakePeer, PeerMessage as M } from './lib/fake-peer.ts'
import { makeTorrent } from './lib/swarm.ts'

const NOBODY_UNCHOKED = { settings: { unchoke_slots_limit: 0 } }

/** The victim's end of an attacker's connection. */
function endOf(arena: Arena, peer: FakePeer): PeerConnection {
  for (const connection of arena.victim.engine.connections) {
    if (connection.endpoint[0] === peer.stream.local[0] && connection.endpoint[1] === peer.stream.local[1])
      return connection
  }
  throw new Error('no such connection')
}

function extended(peer: FakePeer, id: number, text: string | Uint8Array): void {
  peer.send(M.extended, Uint8Array.of(id), Buffer.from(text as string, 'latin1'))
}

/** Sends a message many times, packed in few writes. */
function flood(peer: FakePeer, count: number, make: (i: number) => Uint8Array): void {
  for (let i = 0; i < count; i += 1000) {
    const parts: Uint8Array[] = []
    for (let k = i; k < Math.min(count, i + 1000); k++) parts.push(make(k))
    peer.raw(...parts)
  }
}

function frame(id: number, ...numbers: number[]): Buffer {
  return Buffer.concat([u32(1 + numbers.length * 4), Uint8Array.of(id), u32(...numbers)])
}

function random(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  new SeededRng(seed).fill(bytes)
  return bytes
}

function onlyTheSeedIsAvailable(arena: Arena): void {
  expect([...new Set(arena.victim.handle.pieceAvailability())]).toEqual([1])
}

describe('floods', () => {
  const floods: [string, (peer: FakePeer) => void][] = [
    ['keep-alives', peer => flood(peer, 100_000, () => u32(0))],
    ['cancels', peer => flood(peer, 100_000, i => frame(M.cancel, i % 64, 0, BLOCK_SIZE))],
    ['rejects', peer => flood(peer, 100_000, i => frame(M.reject, i % 64, (i % 8) * BLOCK_SIZE, BLOCK_SIZE))],
    ['allowed fast', peer => flood(peer, 100_000, i => frame(M.allowedFast, i))],
    ['suggestions', peer => flood(peer, 100_000, i => frame(M.suggest, i % 40))],
    ['haves', peer => flood(peer, 100_000, i => frame(M.have, i % ARENA_PIECES))],
    ['bitfields', peer => flood(peer, 20_000, i => Buffer.concat([u32(5), Uint8Array.of(M.bitfield), u32(i * 7919)]))],
    ['have all and have none', peer => flood(peer, 20_000, i => frame(i % 2 === 0 ? M.haveAll : M.haveNone))],
    ['choke and unchoke', peer => flood(peer, 20_000, i => frame(i % 2 === 0 ? M.unchoke : M.choke))],
    ['interested and not', peer => flood(peer, 20_000, i => frame(i % 2 === 0 ? M.interested : M.notInterested))],
    ['interested', peer => flood(peer, 100_000, () => frame(M.interested))],
    [
      'extension handshakes',
      peer => {
        const text = Buffer.from('d1:md11:lt_donthavei7e11:upload_onlyi3ee4:reqqi2000ee')
        flood(peer, 5000, () => Buffer.concat([u32(2 + text.length), Uint8Array.of(20, 0), text]))
      },
    ],
    ['upload-only on and off', peer => flood(peer, 20_000, i => Buffer.concat([u32(3), Uint8Array.of(20, 3, i % 2)]))],
    ['dont-haves', peer => flood(peer, 100_000, i => Buffer.concat([u32(6), Uint8Array.of(20, 7), u32(i % 40)]))],
    ['dht ports', peer => flood(peer, 50_000, () => Buffer.concat([u32(3), Uint8Array.of(M.port, 0x1a, 0xe1)]))],
  ]

  test.each(floods)('of %s do no harm', (_name, attack) => {
    inArena(200, {}, arena => {
      const peer = arena.attackAfterHandshake()
      attack(peer)
      arena.sim.run(5000)
      for (const connection of arena.victim.engine.connections) {
        expect(connection.link.unsentBytes).toBeLessThan(2_000_000)
        expect(connection.hints.suggested.length).toBeLessThanOrEqual(64)
        expect(connection.hints.allowedFast.length).toBeLessThanOrEqual(64)
        expect(connection.download.length).toBeLessThan(1000)
      }
      peer.close()
      arena.sim.run(1000)
      onlyTheSeedIsAvailable(arena)
      arena.finish()
    })
  })

  test('of requests by a peer that never reads: what waits for it is bounded, and others are served', () => {
    inArena(201, { victim: { has: 'all' } }, arena => {
      const peer = arena.attackAfterHandshake()
      const end = endOf(arena, peer)
      peer.send(M.interested)
      arena.sim.runUntil(() => !end.amChoking, 60_000, 'the unchoke')
      peer.stream.pause()
      flood(peer, 200_000, i => frame(M.request, i % ARENA_PIECES, 0, BLOCK_SIZE))
      const leech = arena.swarm.add('leech')
      leech.connectTo(arena.victim)
      let most = 0
      for (let i = 0; i < 60; i++) {
        arena.sim.run(500)
        most = Math.max(most, end.link.unsentBytes)
        expect(end.uploads.queue.length).toBeLessThanOrEqual(2001)
        expect(end.uploads.queue.readingBytes).toBeLessThan(1_000_000)
      }
      expect(most).toBeLessThan(1_500_000)
      expect(leech.isSeeding).toBe(true)
      arena.sim.run(200_000)
      expect(peer.closed ?? end.disconnecting).toBeTruthy()
      expect(arena.ends().map(({ error }) => error.value())).toEqual([E.timedOutInactivity])
      arena.finish()
    })
  })

  test('of requests by a peer that is choked end its connection', () => {
    inArena(202, { victim: { has: 'all', ...NOBODY_UNCHOKED } }, arena => {
      const peer = arena.attackAfterHandshake()
      arena.sim.run(3000)
      peer.stream.pause()
      flood(peer, 100_000, i => frame(M.request, i % ARENA_PIECES, 0, BLOCK_SIZE))
      arena.sim.run(5000)
      expect(arena.ends().map(({ what, error }) => [what, error.value()])).toEqual([
        ['peer_error', E.tooManyRequestsWhenChoked],
      ])
      arena.finish()
    })
  })
})

describe('requests that cannot be served', () => {
  const bad: [string, (peer: FakePeer) => void][] = [
    ['out of range', peer => peer.sendRequest(ARENA_PIECES, 0, BLOCK_SIZE)],
    ['of piece 2^32 - 1', peer => peer.sendRequest(0xffffffff, 0, BLOCK_SIZE)],
    ['that begin behind the piece', peer => peer.sendRequest(0, ARENA_PIECE, BLOCK_SIZE)],
    ['that begin at 2^32 - 1', peer => peer.sendRequest(0, 0xffffffff, BLOCK_SIZE)],
    ['that end behind the piece', peer => peer.sendRequest(0, ARENA_PIECE - 100, 101)],
    ['of nothing', peer => peer.sendRequest(0, 0, 0)],
    ['longer than a block', peer => peer.sendRequest(0, 0, BLOCK_SIZE + 1)],
    ['of a whole piece', peer => peer.sendRequest(0, 0, ARENA_PIECE)],
    ['of 2^31 bytes', peer => peer.sendRequest(0, 0, 0x80000000)],
  ]

  test.each(bad)('%s are rejected', (_name, ask) => {
    inArena(210, { victim: { has: 'all' }, alone: true }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(M.interested)
      arena.sim.run(12_000)
      ask(peer)
      arena.sim.run(1000)
      expect(peer.messages.filter(({ id }) => id === M.reject)).toHaveLength(1)
      expect(peer.messages.some(({ id }) => id === M.piece)).toBe(false)
      expect(arena.victim.whats()).not.toContain('peer_error')
      // an honest request is served afterwards
      peer.sendRequest(0, 0, BLOCK_SIZE)
      arena.sim.run(1000)
      expect(peer.messages.filter(({ id }) => id === M.piece)).toHaveLength(1)
      arena.finish()
    })
  })

  test('for pieces that are not here are rejected', () => {
    inArena(211, { victim: { has: [0] }, alone: true }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(M.interested)
      arena.sim.run(12_000)
      peer.sendRequest(1, 0, BLOCK_SIZE)
      arena.sim.run(1000)
      expect(peer.messages.filter(({ id }) => id === M.reject)).toHaveLength(1)
      expect(peer.messages.some(({ id }) => id === M.piece)).toBe(false)
    })
  })
})

describe('what a peer says it has', () => {
  test('may change its form any number of times', () => {
    inArena(220, {}, arena => {
      const all = new Array<boolean>(ARENA_PIECES).fill(true)
      const some = all.map((_, i) => i % 3 === 0)
      const turns: ((peer: FakePeer) => void)[] = [
        peer => peer.sendBitfield(some),
        peer => peer.sendBitfield(all),
        peer => peer.sendHave(5),
        peer => peer.sendBitfield(some),
        peer => peer.send(M.haveAll),
        peer => peer.sendBitfield(some),
        peer => peer.send(M.haveNone),
        peer => peer.sendHave(31),
        peer => peer.send(M.haveAll),
        peer => peer.send(M.haveNone),
        peer => some.forEach((_, i) => void peer.sendHave(i)),
        peer => extended(peer, 7, u32(3)),
        peer => extended(peer, 7, u32(3)),
        peer => extended(peer, 7, u32(31)),
        peer => extended(peer, 7, u32(99)),
        peer => peer.send(M.haveAll),
        peer => extended(peer, 7, u32(0)),
        peer => peer.sendHave(0),
      ]
      const peers = [0, 1, 2].map(() => arena.attackAfterHandshake())
      for (let i = 0; i < 40; i++) {
        const peer = peers[i % 3]!
        turns[(i * 7) % turns.length]!(peer)
        arena.sim.run(50)
      }
      for (const peer of peers) peer.close()
      arena.sim.run(500)
      onlyTheSeedIsAvailable(arena)
      arena.finish()
    })
  })

  test('a bitfield with spare bits set counts the pieces only', () => {
    inArena(221, { pieces: 30 }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(M.bitfield, Uint8Array.of(0, 0, 0, 0x03))
      arena.sim.run(500)
      expect(endOf(arena, peer).availability.numHave).toBe(0)
      expect(endOf(arena, peer).isSeed).toBe(false)
      arena.finish()
    })
  })

  test('an upload-only peer that only now shows to have nothing leaves no trace', () => {
    for (const last of ['have', 'piece'] as const) {
      inArena(222, {}, arena => {
        const peer = arena.attackAfterHandshake()
        extended(peer, 0, 'd11:upload_onlyi1ee')
        arena.sim.run(500)
        if (last === 'have') peer.sendHave(3)
        else for (let p = 0; p < ARENA_PIECES; p++) peer.sendBlock(p, 0, Buffer.alloc(BLOCK_SIZE))
        arena.sim.run(500)
        expect(arena.ends().map(({ error }) => error.value())).toEqual([E.uninterestingUploadPeer])
        onlyTheSeedIsAvailable(arena)
        arena.finish()
      })
    }
  })
})

describe('blocks', () => {
  test('that nobody asked for are dropped, and the peer may stay', () => {
    inArena(230, { victim: { has: [0, 1, 2] } }, arena => {
      const peer = arena.attackAfterHandshake()
      for (let i = 0; i < 200; i++) peer.sendBlock(i % 3, (i % 4) * BLOCK_SIZE, Buffer.alloc(BLOCK_SIZE, i))
      arena.sim.run(3000)
      expect(peer.closed).toBeNull()
      expect(endOf(arena, peer).download.length).toBe(0)
      expect(Number.isFinite(endOf(arena, peer).download.requestTimeout())).toBe(true)
      arena.finish()
    })
  })

  test('without a payload are an error and a reject, and the peer may stay', () => {
    inArena(231, { alone: true }, arena => {
      const peer = arena.attackAfterHandshake()
      peer.send(M.haveAll)
      peer.send(M.unchoke)
      arena.sim.runUntil(() => peer.requests.length > 0, 30_000, 'requests')
      const [request] = peer.requests
      peer.sendBlock(request!.piece, request!.begin, Buffer.alloc(0))
      arena.sim.run(500)
      expect(arena.ends().map(({ error }) => error.value())).toEqual([E.peerSentEmptyPiece])
      expect(arena.ends()[0]!.error.message()).toBe('peer sent 0 length piece')
      expect(peer.closed).toBeNull()
      peer.close()
      arena.sim.run(500)
      arena.settled()
    })
  })

  test('that end in the middle give their memory back', () => {
    inArena(232, {}, arena => {
      let cut = 0
      for (let i = 0; i < 20; i++) {
        const peer = arena.attackAfterHandshake()
        peer.send(M.haveAll)
        peer.send(M.unchoke)
        arena.sim.run(500)
        const request = peer.requests[0]
        if (request === undefined) continue
        cut++
        peer.raw(
          u32(9 + BLOCK_SIZE),
          Uint8Array.of(M.piece),
          u32(request.piece, request.begin),
          random(1, 100 + i * 800),
        )
        arena.sim.run(100)
        if (i % 2 === 0) peer.close()
        else peer.raw(u32(0), Buffer.alloc(50))
        arena.sim.run(100)
      }
      expect(cut).toBeGreaterThan(3)
      arena.finish()
    })
  })

  test('that the peer makes up: only the liar is banned when blocks of one piece come from several', () => {
    inArena(233, { seedRate: 40_000 }, arena => {
      const liar = arena.attack()
      let lies = 0
      liar.seed(arena.torrent.content, ARENA_PIECE, (_request, block) => {
        lies++
        block[7]! ^= 0x55
      })
      arena.sim.run(30_000)
      expect(lies).toBeGreaterThan(0)
      expect(arena.victim.whats()).toContain('hash_failed')
      arena.swarm.complete(600_000)
      const bans = arena.victim.alerts.filter(alert => alert instanceof PeerBanAlert)
      expect(bans.map(alert => alert.ep[0])).toEqual([liar.stream.local[0]])
      expect(arena.ends().map(({ error }) => error.value())).toContain(E.tooManyCorruptPieces)
      arena.finish()
    })
  })

  test('that are made up and come unasked into pieces of others: the liar is banned, not the seed', () => {
    inArena(234, { seedRate: 60_000 }, arena => {
      const liar = arena.attackAfterHandshake()
      for (let round = 0; round < 60 && liar.closed === null; round++) {
        for (let p = 0; p < ARENA_PIECES; p++) {
          if (!arena.victim.handle.havePiece(p)) liar.sendBlock(p, (round % 4) * BLOCK_SIZE, random(round, BLOCK_SIZE))
        }
        arena.sim.run(1000)
      }
      arena.swarm.complete(1_200_000)
      const bans = arena.victim.alerts.filter(alert => alert instanceof PeerBanAlert)
      for (const ban of bans) expect(ban.ep[0]).toBe(liar.stream.local[0])
      arena.finish()
    })
  })
})

describe('extension handshakes', () => {
  const deep = `d1:m${'l'.repeat(30_000)}${'e'.repeat(30_000)}e`
  const many = `d1:md${[...Array(5000).keys()].map(i => `8:${String(i).padStart(8, '0')}i${i % 256}e`).join('')}ee`
  const cases: [string, string | Uint8Array][] = [
    ['empty', ''],
    ['garbage', random(3, 4000)],
    ['deep', deep],
    ['a list', 'l1:me'],
    ['a huge one', `d1:v900000:${'v'.repeat(900_000)}e`],
    ['thousands of extensions', many],
    ['wrong types', 'd1:m1:x1:pl1:ae4:reqq3:abc1:vi5e6:yourip3:abce'],
    ['negative numbers', 'd1:md11:upload_onlyi-1e11:lt_donthavei-7ee1:pi-6881e4:reqqi-1ee'],
    [
      'numbers that are too large',
      'd1:md11:upload_onlyi9999999999999ee1:pi99999e4:reqqi99999999999999999999999999999ee',
    ],
    ['a length beyond its end', 'd1:v99999999999:ab'],
    ['a name that is no text', Buffer.concat([Buffer.from('d1:v8:'), random(5, 8), Buffer.from('e')])],
    ['a port of its own', 'd1:pi1ee'],
  ]

  test.each(cases)('%s: the peer may stay', (_name, text) => {
    inArena(240, {}, arena => {
      const peer = arena.attackAfterHandshake()
      extended(peer, 0, text)
      arena.sim.run(1000)
      expect(peer.closed).toBeNull()
      const end = endOf(arena, peer)
      expect(end.maxOutRequests).toBeGreaterThan(0)
      expect(end.clientVersion.length).toBeLessThanOrEqual(1024)
      expect(end.link.decoder.bufferedCapacity).toBeLessThan(1000)
      // and goes on to be understood
      peer.send(M.haveAll)
      arena.sim.run(500)
      expect(end.isSeed).toBe(true)
      arena.finish()
    })
  })
})

describe('handshakes', () => {
  test('that are none end the connection', () => {
    for (const bytes of [
      random(8, 300),
      Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      frame(M.interested, 1, 2, 3, 4, 5),
    ]) {
      inArena(250, {}, arena => {
        const peer = arena.attack({ greets: false })
        arena.sim.runUntil(() => peer.connected, 5000, 'the connection')
        peer.raw(bytes)
        arena.sim.run(1000)
        expect(peer.closed).not.toBeNull()
        expect(peer.handshake).toBeNull()
        expect(arena.ends().map(({ what, error }) => [what, error.value()])).toEqual([
          ['peer_disconnected', E.invalidInfoHash],
        ])
        arena.finish()
      })
    }
  })

  test('with another info-hash end the connection without an answer', () => {
    inArena(251, {}, arena => {
      const peer = arena.attack({ infoHash: random(1, 20) })
      arena.sim.run(2000)
      expect(peer.closed).not.toBeNull()
      expect(peer.handshake).toBeNull()
      expect(arena.ends().map(({ what, error }) => [what, error.value()])).toEqual([
        ['peer_disconnected', E.invalidInfoHash],
      ])
      arena.finish()
    })
  })

  test('messages that come with the handshake are understood, those before it are not', () => {
    inArena(252, {}, arena => {
      const peer = arena.attack({ greets: false })
      arena.sim.runUntil(() => peer.connected, 5000, 'the connection')
      const greeting = Buffer.concat([
        Buffer.from('\x13BitTorrent protocol'),
        Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 4),
        arena.torrent.infoHash.toBytes(),
        Buffer.from('-XX0000-123456789012'),
      ])
      peer.raw(greeting, frame(M.haveAll), frame(M.unchoke))
      arena.sim.run(1000)
      expect(endOf(arena, peer).isSeed).toBe(true)
      expect(endOf(arena, peer).peerChoking).toBe(false)
      peer.close()
      arena.finish()
    })
  })

  test('that come byte by byte do not hold a place for long', () => {
    inArena(253, { seedRate: 20_000 }, arena => {
      const greeting = Buffer.concat([
        Buffer.from('\x13BitTorrent protocol'),
        Buffer.alloc(8),
        arena.torrent.infoHash.toBytes(),
        Buffer.from('-XX0000-123456789012'),
      ])
      const slow = [0, 47, 60].map(first => {
        const peer = arena.attack({ greets: false })
        arena.sim.runUntil(() => peer.connected, 5000, 'the connection')
        if (first > 0) peer.raw(greeting.subarray(0, first))
        return { peer, at: first }
      })
      for (let i = 0; i < 6; i++) {
        for (const one of slow) {
          if (one.peer.closed === null) peerByte(one)
        }
        arena.sim.run(10_000)
      }
      function peerByte(one: { peer: FakePeer; at: number }): void {
        one.peer.raw(greeting.subarray(one.at, ++one.at))
      }
      expect(slow.map(({ peer }) => peer.closed !== null)).toEqual([true, true, true])
      expect(arena.ends().map(({ error }) => error.value())).toEqual(new Array(3).fill(E.timedOutNoHandshake))
      arena.finish()
    })
  })

  test('of peers with the same id: one of the connections is kept', () => {
    inArena(254, {}, arena => {
      const peerId = Buffer.from('-XX0000-abcdefghijkl')
      const first = arena.attackAfterHandshake({ peerId })
      const second = arena.attackAfterHandshake({ peerId })
      arena.sim.run(1000)
      expect([first.closed !== null, second.closed !== null].filter(Boolean)).toHaveLength(1)
      expect(arena.ends().map(({ error }) => error.value())).toEqual([E.duplicatePeerId])
      arena.finish()
    })
  })

  test('with ourselves end the connection', () => {
    inArena(255, {}, arena => {
      arena.victim.connectTo(arena.victim)
      arena.sim.run(3000)
      const values = arena.victim.alerts.map(alert => (alert as { error?: { value(): number } }).error?.value())
      expect(values.some(value => value === E.selfConnection || value === E.duplicatePeerId)).toBe(true)
      arena.sim.run(60_000)
      arena.finish()
    })
  })
})

describe('a torrent that takes no peers', () => {
  test('is paused: libtorrent calls that an error of the peer', () => {
    inArena(260, { alone: true }, arena => {
      arena.victim.handle.pause()
      arena.sim.run(1000)
      const peer = arena.attack()
      arena.sim.run(2000)
      expect(peer.closed).not.toBeNull()
      expect(arena.ends().map(({ what, error }) => [what, error.value()])).toEqual([['peer_error', E.torrentPaused]])
    })
  })

  test('is being checked', () => {
    inArena(261, { alone: true, pieces: 400, victim: { has: 'all' } }, arena => {
      arena.sim.run(10_000)
      arena.victim.handle.forceRecheck()
      arena.sim.run(20)
      const peer = arena.attack()
      arena.sim.run(100)
      expect(arena.ends().map(({ error }) => error.value())).toEqual([E.torrentNotReady])
      expect(peer.handshake).toBeNull()
      arena.sim.run(30_000)
      expect(arena.victim.isSeeding).toBe(true)
    })
  })
})

describe('crowds', () => {
  test('connections that never say a word are limited and go, and then honest ones are let in', () => {
    const victim = { has: 'all' as const, settings: { connections_limit: 50, connections_slack: 10 } }
    inArena(270, { alone: true, victim }, arena => {
      const hosts = [...Array(20).keys()].map(() => arena.host())
      const silent = [...Array(2000).keys()].map(i => arena.attack({ greets: false }, hosts[i % 20]!))
      arena.sim.run(1000)
      expect(silent.filter(peer => peer.closed === null)).toHaveLength(60)
      const leech = arena.swarm.add('leech')
      leech.connectTo(arena.victim)
      arena.sim.run(1000)
      expect(leech.handle.status().progress).toBe(0)
      arena.swarm.complete(200_000)
      expect(silent.filter(peer => peer.closed === null)).toHaveLength(0)
      arena.finish()
    })
  })

  test.each([
    [200, 35],
    [50, 110],
    [0, 60],
  ])('with a factor of %i in their class the limit lets %i in', (connectionLimitFactor, most) => {
    const victim = { has: 'all' as const, settings: { connections_limit: 50, connections_slack: 10 } }
    inArena(273, { alone: true, victim }, arena => {
      const { pool } = arena.victim.engine.limits
      for (let id = 0; pool.at(id) !== null; id++) pool.at(id)!.setInfo({ connectionLimitFactor })
      const hosts = [...Array(20).keys()].map(() => arena.host())
      const silent = [...Array(200).keys()].map(i => arena.attack({ greets: false }, hosts[i % 20]!))
      arena.sim.run(1000)
      expect(silent.filter(peer => peer.closed === null)).toHaveLength(most)
      arena.finish()
    })
  })

  test('connections that complete their handshake stay below the limit', () => {
    const victim = { has: 'all' as const, settings: { connections_limit: 30, connections_slack: 10 } }
    inArena(271, { alone: true, victim }, arena => {
      for (let i = 0; i < 300; i++) {
        arena.attack()
        if (i % 10 === 0) arena.sim.run(50)
        expect(arena.victim.engine.connections.size).toBeLessThanOrEqual(40)
      }
      arena.sim.run(5000)
      expect(arena.victim.engine.connections.size).toBeLessThanOrEqual(30)
      expect(arena.ends().some(({ error }) => error.value() === E.tooManyConnections)).toBe(true)
    })
  })

  test('peers that do not answer do not keep a good one from being found', () => {
    inArena(272, { alone: true }, arena => {
      for (let i = 0; i < 1000; i++) arena.victim.handle.connectPeer([`99.${i >> 8}.${i & 255}.7`, 6881])
      let halfOpen = 0
      for (let i = 0; i < 20; i++) {
        arena.sim.run(500)
        let now = 0
        for (const peer of arena.victim.engine.connections) if (peer.connecting) now++
        halfOpen = Math.max(halfOpen, now)
      }
      expect(halfOpen).toBeLessThanOrEqual(200)
      const seed = arena.swarm.add('seed', { has: 'all' })
      arena.victim.connectTo(seed)
      arena.swarm.complete(1_200_000)
    })
  })
})

test('another torrent of the session is not concerned', () => {
  inArena(280, {}, arena => {
    const other = makeTorrent(100_000, ARENA_PIECE, 9)
    const peer = arena.attack({ infoHash: other.infoHash.toBytes() })
    arena.sim.run(1000)
    expect(peer.closed).not.toBeNull()
    arena.finish()
  })
})
