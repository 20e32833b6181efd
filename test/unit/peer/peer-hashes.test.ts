import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { LibtorrentErrors as E } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { PeerHashes } from '../../../src/peer/peer-hashes.ts'
import { type HashNotice, Severity } from '../../../src/peer/peer-host.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { Counters } from '../../../src/stats/counters.ts'
import { type HashRequest, MAX_HASHES, uncleCount } from '../../../src/wire/hash-messages.ts'
import { MessageDecoder } from '../../../src/wire/message-decoder.ts'
import * as M from '../../../src/wire/message-encoder.ts'
import { RecordingSink } from '../wire/recording-sink.ts'

const WATERMARK = 500_000
/** Blocks in a piece: hashes of pieces are in layer 2. */
const BLOCKS_PER_PIECE = 4

function ask(index: number, base = 2, count = 1, proofLayers = 0): HashRequest {
  return { root: new Uint8Array(32).fill(7), base, index, count, proofLayers }
}

/** As many bytes as a request implies. */
function hashesFor({ count, proofLayers }: HashRequest, fill = 1): Uint8Array {
  return new Uint8Array(32 * (count + uncleCount(count, proofLayers))).fill(fill)
}

/** A connection, and a torrent that does as the test says. */
class World {
  readonly sent: string[] = []
  readonly counters = new Counters()
  readonly turn = { now: 0 }
  readonly logged: string[] = []
  readonly ends: [number, Severity][] = []
  disconnecting = false
  inHandshake = false
  protocolV2 = true
  unsentBytes = 0
  readonly receiving = { paused: false }

  /** What the torrent would have of this peer, the next one first. */
  wanted: HashRequest[] = []
  picks = 0
  readonly rejected: number[] = []
  readonly received: number[] = []
  accepts = true
  /** Called with each request to answer; the usual answer comes at once. */
  onAnswer: (request: HashRequest, done: (hashes: Uint8Array | null) => void) => void = (request, done) =>
    done(hashesFor(request))
  poked = false
  readonly exchange = {
    pick: () => {
      this.picks++
      return this.wanted.shift() ?? null
    },
    received: (_: unknown, { index }: HashRequest) => {
      this.received.push(index)
      return this.accepts
    },
    rejected: (_: unknown, request: HashRequest) => {
      this.rejected.push(request.index)
      // as the torrent does: somebody is to be asked
      if (this.poked) {
        this.wanted.unshift(request)
        this.hashes.maybeRequest()
      }
    },
    answer: (_: unknown, request: HashRequest, done: (hashes: Uint8Array | null) => void) =>
      this.onAnswer(request, done),
  }
  readonly host = {
    hashes: this.exchange as typeof this.exchange | null,
    geometry: { blocksPerPiece: BLOCKS_PER_PIECE },
    alert: (_: unknown, { direction, event, request }: HashNotice) =>
      void this.logged.push(`${direction === 'incomingMessage' ? '<' : '>'} ${event} ${request.index}`),
  }
  readonly hashes: PeerHashes
  readonly decoder: MessageDecoder
  readonly #out = new ByteWriter()

  constructor() {
    const world = this
    const peer = {
      host: this.host,
      receiving: this.receiving,
      link: {
        out: () => {
          this.#collect()
          return this.#out
        },
        write: (view: Uint8Array) => {
          this.#collect()
          this.#read(view.slice())
        },
        get unsentBytes() {
          return world.unsentBytes
        },
      },
      session: { counters: this.counters, turn: this.turn, settings: { sendBufferWatermark: WATERMARK } },
      get disconnecting() {
        return world.disconnecting
      },
      get inHandshake() {
        return world.inHandshake
      },
      get protocolV2() {
        return world.protocolV2
      },
      disconnect: (error: ErrorCode, _: unknown, severity: Severity) => {
        this.ends.push([error.value(), severity])
        this.disconnecting = true
        this.decoder.stop()
      },
    }
    this.hashes = new PeerHashes(peer as unknown as PeerConnection)
    const sink = new RecordingSink()
    sink.onHashRequest = request => this.hashes.onHashRequest(request)
    sink.onHashes = (request, hashes) => this.hashes.onHashes(request, hashes)
    sink.onHashReject = request => this.hashes.onHashReject(request)
    sink.onProtocolError = error => peer.disconnect(error, null, Severity.peerError)
    this.decoder = new MessageDecoder(sink)
    this.decoder.setProtocolV2(true)
  }

  #collect(): void {
    this.#read(this.#out.finish())
    this.#out.clear()
  }

  /** Notes what was written, as the other side reads it. */
  #read(bytes: Uint8Array): void {
    const sink = new RecordingSink()
    sink.onHashRequest = ({ index }) => void this.sent.push(`request ${index}`)
    sink.onHashes = ({ index }, hashes) => void this.sent.push(`hashes ${index} of ${hashes.length / 32}`)
    sink.onHashReject = ({ index }) => void this.sent.push(`reject ${index}`)
    sink.onProtocolError = error => {
      throw new Error(error.message())
    }
    const decoder = new MessageDecoder(sink)
    decoder.setProtocolV2(true)
    decoder.push(bytes)
  }

  /** Takes what was sent so far. */
  take(): string[] {
    this.#collect()
    return this.sent.splice(0)
  }

  /** Passes seconds. */
  run(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.turn.now += 1000
      this.hashes.tick(this.turn.now)
    }
  }

  request(request: HashRequest): void {
    this.#receive(out => M.encodeHashRequest(out, request))
  }

  reject(request: HashRequest): void {
    this.#receive(out => M.encodeHashReject(out, request))
  }

  answer(request: HashRequest, hashes = hashesFor(request)): void {
    this.#receive(out => M.encodeHashes(out, request, hashes))
  }

  #receive(encode: (out: ByteWriter) => void): void {
    const out = new ByteWriter()
    encode(out)
    this.decoder.push(out.view())
  }
}

describe('requests of ours', () => {
  test('are two at most; each answer makes room for one', () => {
    const world = new World()
    world.wanted = [0, 512, 1024, 1536].map(index => ask(index))
    for (let i = 0; i < 4; i++) world.hashes.maybeRequest()
    expect(world.take()).toEqual(['request 0', 'request 512'])
    expect(world.hashes.outstanding).toBe(2)
    world.answer(ask(512))
    expect(world.received).toEqual([512])
    expect(world.take()).toEqual(['request 1024'])
    world.answer(ask(0))
    world.answer(ask(1536))
    world.answer(ask(1024))
    expect(world.hashes.outstanding).toBe(0)
    expect(world.counters.get(C.SES_NUM_OUTGOING_HASH_REQUEST)).toBe(4)
    expect(world.logged.slice(0, 3)).toEqual(['> hashRequest 0', '> hashRequest 512', '< hashes 512'])
    expect(world.ends).toEqual([])
  })

  test.each([
    ['on a v1 connection', (world: World) => void (world.protocolV2 = false)],
    ['during the handshake', (world: World) => void (world.inHandshake = true)],
    ['once it ends', (world: World) => void (world.disconnecting = true)],
    ['without metadata', (world: World) => void (world.host.hashes = null)],
  ])('are not made %s', (_when, change) => {
    const world = new World()
    world.wanted = [ask(0)]
    change(world)
    world.hashes.maybeRequest()
    world.run(5)
    expect(world.take()).toEqual([])
    expect(world.picks).toBe(0)
  })

  test('are looked for each second', () => {
    const world = new World()
    world.hashes.maybeRequest()
    expect(world.take()).toEqual([])
    world.wanted = [ask(3)]
    world.run(1)
    expect(world.take()).toEqual(['request 3'])
  })

  test('an answer that proves nothing ends the connection', () => {
    const world = new World()
    world.wanted = [ask(0), ask(1)]
    world.hashes.maybeRequest()
    world.accepts = false
    world.answer(ask(0))
    expect(world.ends).toEqual([[E.invalidHashes, Severity.peerError]])
    expect(world.take()).toEqual(['request 0'])
  })

  test('hashes of pieces are welcome even if nobody asked', () => {
    const world = new World()
    world.answer(ask(9))
    expect(world.received).toEqual([9])
    world.accepts = false
    world.answer(ask(10))
    expect(world.ends).toEqual([[E.invalidHashes, Severity.peerError]])
  })

  test('hashes of blocks are taken only if they were asked for', () => {
    const world = new World()
    world.accepts = false
    world.answer(ask(8, 0, 4))
    world.answer(ask(8, 1, 2))
    expect([world.received, world.ends]).toEqual([[], []])
    world.accepts = true
    world.wanted = [ask(8, 0, 4, 3)]
    world.hashes.maybeRequest()
    // not what was asked for: other proof layers
    world.answer(ask(8, 0, 4, 2))
    expect(world.received).toEqual([])
    expect(world.hashes.outstanding).toBe(1)
    world.answer(ask(8, 0, 4, 3))
    expect(world.received).toEqual([8])
    expect(world.hashes.outstanding).toBe(0)
  })

  test('blocks as large as pieces: their hashes are those of pieces', () => {
    const world = new World()
    world.host.geometry.blocksPerPiece = 1
    world.answer(ask(8, 0, 4))
    expect(world.received).toEqual([8])
  })

  test('hashes without metadata end the connection', () => {
    const world = new World()
    world.host.hashes = null
    world.answer(ask(0))
    expect(world.ends).toEqual([[E.invalidHashes, Severity.peerError]])
  })
})

describe('a peer that refuses', () => {
  test('gives the request back, and is left alone for longer each time', () => {
    const world = new World()
    world.poked = true
    world.wanted = [ask(0)]
    world.hashes.maybeRequest()
    const at: number[] = []
    for (let i = 0; i < 160; i++) {
      for (const line of world.take()) {
        expect(line).toBe('request 0')
        at.push(world.turn.now / 1000)
        world.reject(ask(0))
      }
      world.run(1)
    }
    expect(at).toEqual([0, 3, 9, 21, 45, 93, 153])
    expect(world.rejected).toHaveLength(7)
    expect(world.hashes.outstanding).toBe(0)
  })

  test('is trusted again once it has answered', () => {
    const world = new World()
    for (let i = 0; i < 3; i++) {
      world.wanted = [ask(i)]
      world.run(30)
      world.reject(ask(i))
    }
    world.take()
    world.wanted = [ask(4)]
    world.run(12)
    expect(world.take()).toEqual(['request 4'])
    world.wanted = [ask(5), ask(6)]
    world.answer(ask(4))
    world.reject(ask(5))
    expect(world.take()).toEqual(['request 5'])
    world.run(3)
    expect(world.take()).toEqual(['request 6'])
  })

  test('a reject of what was not asked for means nothing', () => {
    const world = new World()
    world.wanted = [ask(0), ask(1)]
    world.hashes.maybeRequest()
    for (const other of [ask(1), ask(0, 1), ask(0, 2, 2), ask(0, 2, 1, 1)]) world.reject(other)
    world.reject({ ...ask(0), root: new Uint8Array(32) })
    expect(world.rejected).toEqual([])
    expect(world.hashes.outstanding).toBe(1)
    expect(world.take()).toEqual(['request 0'])
  })
})

describe('a peer that is silent', () => {
  test('is asked no more after a minute; a late answer is welcome', () => {
    const world = new World()
    world.wanted = [ask(0, 0, 4), ask(4, 0, 4)]
    world.hashes.maybeRequest()
    world.run(59)
    expect(world.rejected).toEqual([])
    world.run(1)
    expect(world.rejected).toEqual([0])
    expect(world.hashes.outstanding).toBe(1)
    world.answer(ask(0, 0, 4))
    expect(world.received).toEqual([0])
    // once
    world.answer(ask(0, 0, 4))
    expect(world.received).toEqual([0])
  })

  test('of late answers only the last few are known', () => {
    const world = new World()
    for (let i = 0; i < 6; i++) {
      world.wanted = [ask(4 * i, 0, 4)]
      world.run(200)
    }
    for (let i = 0; i < 6; i++) world.answer(ask(4 * i, 0, 4))
    expect(world.received).toEqual([8, 12, 16, 20])
  })

  test('a late reject means nothing', () => {
    const world = new World()
    world.wanted = [ask(0)]
    world.run(62)
    expect(world.rejected).toEqual([0])
    world.reject(ask(0))
    expect(world.rejected).toEqual([0])
  })

  test('is not blamed while it is not read from', () => {
    const world = new World()
    world.wanted = [ask(0)]
    world.hashes.maybeRequest()
    world.receiving.paused = true
    world.run(100)
    expect(world.rejected).toEqual([])
    world.receiving.paused = false
    world.run(1)
    expect(world.rejected).toEqual([0])
  })

  test('is not asked the same twice: the torrent is to ask others', () => {
    const world = new World()
    world.poked = true
    world.wanted = [ask(0), ask(0), ask(5)]
    world.hashes.maybeRequest()
    world.run(3)
    expect(world.take()).toEqual(['request 0'])
    expect(world.rejected).toEqual([0])
    world.wanted = [ask(5)]
    world.run(6)
    expect(world.take()).toEqual([])
    world.run(3)
    expect(world.take()).toEqual(['request 5'])
  })
})

test('what a connection was asked is given back when it ends', () => {
  const world = new World()
  world.poked = true
  world.wanted = [ask(0), ask(1), ask(2)]
  world.hashes.maybeRequest()
  world.hashes.maybeRequest()
  world.onAnswer = () => {}
  world.request(ask(7))
  world.request(ask(8))
  world.take()
  world.disconnecting = true
  world.hashes.left()
  expect(world.rejected).toEqual([0, 1])
  expect(world.hashes.outstanding).toBe(0)
  expect(world.hashes.waiting).toBe(1)
  world.hashes.left()
  expect(world.rejected).toEqual([0, 1])
  expect(world.take()).toEqual([])
})

describe('requests of the peer', () => {
  test('are answered', () => {
    const world = new World()
    world.request(ask(0, 2, 512, 12))
    expect(world.take()).toEqual(['hashes 0 of 516'])
    world.onAnswer = (_, done) => done(null)
    world.request(ask(512, 2, 512, 12))
    expect(world.take()).toEqual(['reject 512'])
    expect(world.counters.get(C.SES_NUM_OUTGOING_HASHES)).toBe(1)
    expect(world.counters.get(C.SES_NUM_OUTGOING_HASH_REJECT)).toBe(1)
    expect(world.logged).toEqual(['< hashRequest 0', '> hashes 0', '< hashRequest 512', '> hashReject 512'])
  })

  test('the longest answer there can be is sent and read', () => {
    const world = new World()
    const request = ask(0, 0, MAX_HASHES, 40)
    world.request(request)
    expect(world.take()).toEqual([`hashes 0 of ${MAX_HASHES + 28}`])
    world.wanted = [request]
    world.hashes.maybeRequest()
    world.answer(request)
    expect(world.received).toEqual([0])
  })

  test.each([
    ['no hashes', ask(0, 0, 0)],
    ['too many hashes', ask(0, 0, MAX_HASHES + 1)],
    ['a negative count', ask(0, 0, 0xffffffff)],
    ['a negative index', ask(0xffffffff)],
    ['a negative base', ask(0, 0xffffffff)],
    ['negative proof layers', ask(0, 0, 1, 0xffffffff)],
  ])('for %s are rejected as they came', (_what, request) => {
    const world = new World()
    world.onAnswer = () => {
      throw new Error('asked')
    }
    world.request(request)
    expect(world.take()).toEqual([`reject ${request.index}`])
    expect(world.ends).toEqual([])
  })

  test('are rejected by torrents that have no hashes to give', () => {
    const world = new World()
    world.host.hashes = null
    world.request(ask(1))
    expect(world.take()).toEqual(['reject 1'])
  })

  test('are answered one after the other, as the disk allows', () => {
    const world = new World()
    const asked: number[] = []
    const answers: ((hashes: Uint8Array | null) => void)[] = []
    world.onAnswer = (request, done) => {
      asked.push(request.index)
      answers.push(done)
    }
    for (let i = 0; i < 3; i++) world.request(ask(i))
    expect(asked).toEqual([0])
    answers[0]!(hashesFor(ask(0)))
    expect(asked).toEqual([0, 1])
    // what is said twice counts once
    answers[0]!(null)
    expect(asked).toEqual([0, 1])
    answers[1]!(null)
    answers[2]!(hashesFor(ask(2)))
    expect(world.take()).toEqual(['hashes 0 of 2', 'reject 1', 'hashes 2 of 2'])
    expect(world.hashes.waiting).toBe(0)
  })

  test('an answer of another length than the request implies is not sent', () => {
    const world = new World()
    world.onAnswer = (_, done) => done(new Uint8Array(32 * 3))
    for (const count of [1, 2, 4]) world.request(ask(count, 0, count, 2))
    expect(world.take()).toEqual(['reject 1', 'reject 2', 'reject 4'])
    world.request(ask(8, 0, 2, 1))
    expect(world.take()).toEqual(['hashes 8 of 3'])
  })

  test('an answer that comes after the end goes nowhere', () => {
    const world = new World()
    let answer: (hashes: Uint8Array | null) => void = () => {}
    world.onAnswer = (_, done) => void (answer = done)
    world.request(ask(0))
    world.request(ask(1))
    world.disconnecting = true
    world.hashes.left()
    answer(hashesFor(ask(0)))
    expect(world.take()).toEqual([])
  })

  test('wait while the peer does not take what it is sent', () => {
    const world = new World()
    world.unsentBytes = WATERMARK + 1
    world.request(ask(0))
    world.run(5)
    expect(world.take()).toEqual([])
    world.unsentBytes = WATERMARK
    world.hashes.fill()
    expect(world.take()).toEqual(['hashes 0 of 2'])
  })

  test('answers do not go out faster than they are taken', () => {
    const world = new World()
    world.onAnswer = (request, done) => {
      world.unsentBytes += 32 * MAX_HASHES
      done(hashesFor(request))
    }
    for (let i = 0; i < 100; i++) world.request(ask(i, 0, MAX_HASHES))
    expect(world.take()).toHaveLength(2)
    expect(world.unsentBytes).toBeLessThan(WATERMARK + 33 * MAX_HASHES)
    expect(world.hashes.waiting).toBe(98)
  })
})

describe('a flood of requests', () => {
  test('is rejected beyond a limit, and ends the connection at last', () => {
    const world = new World()
    world.onAnswer = () => {}
    let sent = 0
    for (; !world.disconnecting && sent < 10_000; sent++) {
      world.request(ask(sent))
      expect(world.hashes.waiting).toBeLessThanOrEqual(257)
    }
    expect(world.ends).toEqual([[E.invalidHashRequest, Severity.peerError]])
    expect(sent).toBe(257 + 1000 + 1)
    expect(world.take()).toHaveLength(1000)
  })

  test('is forgiven once all is answered', () => {
    const world = new World()
    for (let round = 0; round < 5; round++) {
      world.unsentBytes = WATERMARK + 1
      for (let i = 0; i < 1200; i++) world.request(ask(i))
      world.unsentBytes = 0
      world.hashes.fill()
      expect(world.hashes.waiting).toBe(0)
    }
    expect(world.ends).toEqual([])
    expect(world.counters.get(C.SES_NUM_OUTGOING_HASHES)).toBe(5 * 256)
    expect(world.counters.get(C.SES_NUM_OUTGOING_HASH_REJECT)).toBe(5 * (1200 - 256))
  })
})

test.each([1, 2, 3])('random messages: what is held is bounded, and each request is settled once (%i)', seed => {
  const rng = new SeededRng(seed)
  const world = new World()
  const open: ((hashes: boolean) => void)[] = []
  let answered = 0
  let requested = 0
  let picked = 0
  world.onAnswer = (request, done) => void open.push(has => done(has ? hashesFor(request) : null))
  for (let step = 0; step < 5000; step++) {
    const request = ask(rng.below(8), rng.below(4), 1 + rng.below(4), rng.below(3))
    switch (rng.below(8)) {
      case 0:
        world.wanted.push(request)
        world.hashes.maybeRequest()
        break
      case 1:
        world.answer(request)
        break
      case 2:
        world.reject(request)
        break
      case 3:
      case 4:
        requested++
        world.request(request)
        break
      case 5:
        world.run(1 + rng.below(20))
        break
      case 6:
        world.unsentBytes = rng.below(2) * (WATERMARK + 1)
        world.hashes.fill()
        break
      default:
        open.shift()?.(rng.below(2) === 0)
    }
    expect(world.hashes.outstanding).toBeLessThanOrEqual(2)
    expect(world.hashes.waiting).toBeLessThanOrEqual(257)
    if (world.disconnecting) break
  }
  if (world.disconnecting) return
  world.unsentBytes = 0
  world.hashes.fill()
  while (open.length > 0) open.shift()!(false)
  for (const line of world.take()) {
    if (line.startsWith('request')) picked++
    else answered++
  }
  expect(answered).toBe(requested)
  world.wanted = []
  world.disconnecting = true
  world.hashes.left()
  expect(picked).toBe(world.counters.get(C.SES_NUM_OUTGOING_HASH_REQUEST))
  expect(world.hashes.outstanding + world.hashes.waiting).toBe(0)
})
