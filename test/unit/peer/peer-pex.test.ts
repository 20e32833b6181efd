import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { binaryToBytes, bytesToText, textToBytes } from '../../../src/core/bytes.ts'
import { type Endpoint, endpointToString, isLocal } from '../../../src/core/endpoint.ts'
import { PexFlags, SocketType } from '../../../src/core/enums.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { LibtorrentErrors as E } from '../../../src/core/error-table.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { Severity } from '../../../src/peer/peer-host.ts'
import { PeerPex, type PexOutgoing } from '../../../src/peer/peer-pex.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { Counters } from '../../../src/stats/counters.ts'
import { encodePex, MAX_PEX_LENGTH } from '../../../src/wire/ut-pex.ts'

const MINUTE = 60_000
const THEIR_ID = 9

interface Options {
  remote?: Endpoint
  outgoing?: boolean
  socketType?: SocketType
  isSeed?: boolean
  allowed?: boolean
}

/** One peer, both ids known, of a torrent that has something to tell. */
class World {
  readonly out = new ByteWriter()
  readonly counters = new Counters()
  readonly settings = { maxPexPeers: 50 }
  readonly turn = { now: 0 }
  readonly found: string[] = []
  readonly logged: string[] = []
  readonly ends: [message: string, severity: Severity][] = []
  boosts = 0
  disconnecting = false
  connecting = false
  inHandshake = false
  numPeers = 3
  readonly torrent = {
    allowed: true,
    enabled: true,
    full: () => ({ payload: textToBytes('full'), numAdded: 2, numDropped: 0 }),
    changes: () => this.diff,
    found: (endpoint: Endpoint, flags: number) => void this.found.push(`${endpointToString(endpoint)} ${flags}`),
    foundAll: () => void this.boosts++,
  }
  diff: PexOutgoing | null = { payload: textToBytes('diff'), numAdded: 1, numDropped: 4 }
  readonly pex: PeerPex

  constructor(options: Options = {}) {
    const world = this
    const remote = options.remote ?? ['81.2.3.4', 5000]
    const host = {
      pex: this.torrent,
      get numPeers() {
        return world.numPeers
      },
      alert: (_: unknown, { direction, event, text }: { direction: string; event: string; text: string }) =>
        void this.logged.push(`${direction} ${event} ${text}`),
    }
    const peer = {
      host,
      endpoint: remote,
      outgoing: options.outgoing ?? false,
      local: isLocal(remote[0]),
      socketType: options.socketType ?? SocketType.tcp,
      isSeed: options.isSeed ?? false,
      link: { out: () => this.out },
      session: { counters: this.counters, settings: this.settings, turn: this.turn },
      get connecting() {
        return world.connecting
      },
      get inHandshake() {
        return world.inHandshake
      },
      get disconnecting() {
        return world.disconnecting
      },
      disconnect: (error: ErrorCode, _: unknown, severity: Severity) => {
        this.ends.push([error.message(), severity])
        this.disconnecting = true
      },
    }
    this.pex = new PeerPex(peer as unknown as PeerConnection)
    this.torrent.allowed = options.allowed ?? true
    this.torrent.enabled = this.torrent.allowed
    this.pex.offer()
    this.pex.onHandshake(THEIR_ID, 0)
  }

  /** Passes seconds. @returns when and what was sent, by the second */
  run(seconds: number): string[] {
    const sent: string[] = []
    for (let i = 0; i < seconds; i++) {
      this.turn.now += 1000
      this.pex.tick(this.turn.now)
      const bytes = this.out.finish()
      this.out.clear()
      if (bytes.length > 0) sent.push(`${this.turn.now / 1000} ${bytesToText(bytes.subarray(6))}`)
    }
    return sent
  }

  receive(added: [Endpoint, number][], dropped: Endpoint[] = []): void {
    const payload = encodePex(
      added.map(([endpoint, flags]) => ({ endpoint, flags })),
      dropped,
    )
    if (this.pex.onHeader(payload.length)) this.pex.onMessage(payload)
  }
}

function crowd(count: number, from = 0): [Endpoint, number][] {
  return Array.from({ length: count }, (_, i) => [[`5.6.${(from + i) >> 8}.${(from + i) & 255}`, 7], 0])
}

describe('what is sent', () => {
  test('first everybody, then each minute what has changed', () => {
    const world = new World()
    expect(world.run(125)).toEqual(['1 full', '61 diff', '121 diff'])
    expect(world.counters.get(C.SES_NUM_OUTGOING_PEX)).toBe(3)
    expect(world.counters.get(C.SES_NUM_OUTGOING_EXTENDED)).toBe(3)
    expect(world.logged.slice(0, 2)).toEqual([
      'outgoingMessage pexFull added: 2 msg_size: 4',
      'outgoingMessage pexDiff dropped: 4 added: 1 msg_size: 4',
    ])
  })

  test('has the id that the peer chose', () => {
    const world = new World()
    world.turn.now = 1000
    world.pex.tick(1000)
    expect([...world.out.view()]).toEqual([0, 0, 0, 6, 20, THEIR_ID, ...textToBytes('full')])
  })

  test('is nothing while there is nobody to tell of, or nothing to tell', () => {
    const world = new World()
    world.numPeers = 1
    expect(world.run(10)).toEqual([])
    world.numPeers = 2
    expect(world.run(10)).toEqual(['11 full'])
    world.diff = null
    expect(world.run(90)).toEqual([])
    world.diff = { payload: textToBytes('late'), numAdded: 1, numDropped: 0 }
    expect(world.run(60)).toEqual(['131 late'])
  })

  test('is nothing to a peer that takes none, or takes no more', () => {
    const world = new World()
    world.pex.onHandshake(0, 0)
    expect(world.run(100)).toEqual([])
    world.pex.onHandshake(THEIR_ID, 0)
    expect(world.run(1)).toEqual(['101 full'])
    world.pex.onHandshake(0, 0)
    expect(world.run(100)).toEqual([])
  })

  test('is nothing while it is turned off', () => {
    const world = new World()
    world.torrent.enabled = false
    expect(world.run(100)).toEqual([])
    world.torrent.enabled = true
    expect(world.run(100)).toEqual(['101 full', '161 diff'])
  })
})

describe('how others are told of a peer', () => {
  test('by where we connected to', () => {
    expect(new World({ outgoing: true }).pex.endpoint()).toEqual(['81.2.3.4', 5000])
  })

  test('if it connected to us, by the port it says it listens on, and else not at all', () => {
    const world = new World()
    expect(world.pex.endpoint()).toBeNull()
    world.pex.onHandshake(THEIR_ID, 6881)
    expect(world.pex.endpoint()).toEqual(['81.2.3.4', 6881])
    // a later handshake that says nothing of it takes nothing back
    world.pex.onHandshake(THEIR_ID, 0)
    expect(world.pex.endpoint()).toEqual(['81.2.3.4', 6881])
  })

  test('not before it is connected and has shaken hands, and not when it goes', () => {
    for (const state of ['connecting', 'inHandshake', 'disconnecting'] as const) {
      const world = new World({ outgoing: true })
      world[state] = true
      expect(world.pex.endpoint(), state).toBeNull()
    }
  })

  test('with flags for seeds and for uTP', () => {
    expect(new World().pex.flags()).toBe(0)
    expect(new World({ isSeed: true }).pex.flags()).toBe(PexFlags.pexSeed)
    expect(new World({ socketType: SocketType.utp }).pex.flags()).toBe(PexFlags.pexUtp)
    expect(new World({ socketType: SocketType.utpSsl, isSeed: true }).pex.flags()).toBe(6)
  })
})

describe('what is received', () => {
  test('goes to the torrent, with its flags but for the one that is for use among ourselves', () => {
    const world = new World()
    world.receive([
      [['5.6.7.8', 1], 0xff],
      [['2001:db8::5', 2], PexFlags.pexSeed],
    ])
    expect(world.found).toEqual(['5.6.7.8:1 127', '[2001:db8::5]:2 2'])
    expect([world.boosts, world.counters.get(C.SES_NUM_INCOMING_PEX)]).toEqual([1, 1])
    expect(world.logged).toEqual(['incomingMessage pex dropped: 0 added: 2'])
    expect([world.pex.introduced(['5.6.7.8', 1]), world.pex.introduced(['2001:db8::5', 2])]).toEqual([true, true])
    expect([world.pex.introduced(['5.6.7.8', 2]), world.pex.introduced(['2001:db8::6', 2])]).toEqual([false, false])
  })

  test('counts once, until it is taken back', () => {
    const world = new World()
    const [one] = crowd(1)
    world.receive([one!, one!])
    world.receive([one!])
    expect([world.found.length, world.boosts]).toEqual([1, 1])
    world.receive([], [one![0]])
    expect(world.pex.introduced(one![0])).toBe(false)
    world.receive([one!])
    expect([world.found.length, world.boosts]).toEqual([2, 2])
  })

  test('is no more than max_pex_peers of either family at a time', () => {
    const world = new World()
    world.settings.maxPexPeers = 5
    world.receive(crowd(8))
    world.receive(crowd(8, 100))
    expect(world.found).toHaveLength(5)
    world.receive(Array.from({ length: 8 }, (_, i) => [[`2001:db8::${i}`, 7], 0]))
    expect(world.found).toHaveLength(10)
    world.receive(
      crowd(8, 200),
      crowd(2).map(([endpoint]) => endpoint),
    )
    expect(world.found).toHaveLength(12)
    world.settings.maxPexPeers = 0
    world.receive(crowd(8, 300))
    expect(world.found).toHaveLength(12)
  })

  test('is not believed of local addresses, but from a peer that is local itself', () => {
    const told: [Endpoint, number][] = [
      [['192.168.0.5', 7], 0],
      [['127.0.0.1', 7], 0],
      [['fd00::5', 7], 0],
      // in the clothes of IPv6
      [['::ffff:10.0.0.5', 7], 0],
      [['5.6.7.8', 7], 0],
    ]
    const far = new World()
    far.receive(told)
    expect(far.found).toEqual(['5.6.7.8:7 0'])
    const near = new World({ remote: ['192.168.0.9', 5000] })
    near.receive(told)
    expect(near.found).toHaveLength(5)
  })

  test('does not come from one that was not offered the message, or never named it', () => {
    const silent = new World()
    silent.pex.onHandshake(0, 0)
    silent.receive(crowd(1))
    const notOffered = new World({ allowed: false })
    notOffered.receive(crowd(1))
    for (const world of [silent, notOffered]) {
      expect(world.ends).toEqual([['invalid message', Severity.peerError]])
      expect(world.found).toEqual([])
    }
  })

  test('is passed over, and no offence, once the torrent has turned out to be private', () => {
    const world = new World()
    world.torrent.allowed = false
    world.torrent.enabled = false
    expect(world.pex.offer()).toBe(false)
    world.receive(crowd(1))
    expect([world.found, world.ends]).toEqual([[], []])
  })

  test('is passed over while it is turned off, be it what it may', () => {
    const world = new World()
    world.torrent.enabled = false
    for (let i = 0; i < 20; i++) world.receive(crowd(1, i))
    expect(world.pex.onHeader(MAX_PEX_LENGTH + 1)).toBe(false)
    world.pex.onMessage(textToBytes('rubbish'))
    expect([world.found, world.ends]).toEqual([[], []])
  })
})

describe('the connection ends', () => {
  test('at the seventh message within a minute', () => {
    const world = new World()
    for (let i = 0; i < 6; i++) world.receive(crowd(1, i))
    expect(world.ends).toEqual([])
    world.turn.now = MINUTE - 1
    world.receive(crowd(1, 6))
    expect(world.ends).toEqual([['pex messages sent too frequent (possible attack)', Severity.normal]])
    expect(world.found).toHaveLength(6)
  })

  test('but not when the seventh comes after a minute', () => {
    const world = new World()
    for (let i = 0; i < 30; i++) {
      world.turn.now = i * 10_000
      world.receive(crowd(1, i))
    }
    expect([world.ends, world.found.length]).toEqual([[], 30])
    world.receive(crowd(1))
    expect(world.ends).toHaveLength(1)
  })

  test('when a message is too long, before it has come', () => {
    const world = new World()
    expect(world.pex.onHeader(MAX_PEX_LENGTH)).toBe(true)
    expect(world.ends).toEqual([])
    expect(world.pex.onHeader(MAX_PEX_LENGTH + 1)).toBe(false)
    expect(world.ends).toEqual([['pex message too large', Severity.peerError]])
  })

  test.each(['', 'le', 'i0e', 'd5:added', 'hello'])('when a message is %j', text => {
    const world = new World()
    world.pex.onMessage(binaryToBytes(text))
    expect(world.ends).toEqual([['invalid pex message', Severity.peerError]])
    expect(world.counters.get(C.SES_NUM_INCOMING_PEX)).toBe(0)
  })

  test('with errors that are libtorrent’s', () => {
    expect([E.pexMessageTooLarge, E.invalidPexMessage, E.tooFrequentPex]).toEqual([105, 106, 108])
  })
})
