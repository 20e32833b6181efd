import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { ErrorCode } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import type { Stream, StreamHandler } from '../../../src/core/runtime.ts'
import { Turn } from '../../../src/core/turn.ts'
import { BtLink } from '../../../src/peer/bt-link.ts'
import type { LogNotice } from '../../../src/peer/peer-host.ts'
import type { PeerLinkOwner } from '../../../src/peer/peer-link.ts'
import { encodeExtendedHandshake } from '../../../src/wire/extended.ts'
import { encodeUploadOnly } from '../../../src/wire/lt-donthave.ts'
import {
  encodeAllowedFast,
  encodeBitfield,
  encodeDhtPort,
  encodeExtended,
  encodeHave,
  encodePiece,
  encodePieceHeader,
  encodeReject,
  encodeSuggest,
} from '../../../src/wire/message-encoder.ts'
import { encodeUtMetadata } from '../../../src/wire/ut-metadata.ts'

/** Calls of an owner, as text. Block payload is joined. */
class World {
  readonly log: string[] = []
  readonly written: Buffer[] = []
  readonly flushed: (() => void)[] = []
  readonly turn = new Turn(
    () => 0,
    error => {
      throw error
    },
  )
  handler!: StreamHandler
  link: BtLink
  quota = Number.POSITIVE_INFINITY
  closed = false
  received = 0
  payload = 0
  block: number[] = []
  logsMessages = false
  readonly lines: string[] = []
  /** Called with the name of each call. */
  onCall: (name: string) => void = () => {}

  constructor() {
    const stream = {
      local: ['10.0.0.1', 1],
      remote: ['10.0.0.2', 2],
      kind: 0,
      queuedBytes: 0,
      setHandler: (handler: StreamHandler) => void (this.handler = handler),
      write: (views: readonly Uint8Array[], onFlushed?: () => void) => {
        this.written.push(Buffer.concat(views))
        if (onFlushed !== undefined) this.flushed.push(onFlushed)
      },
      pause() {},
      resume() {},
      close: () => void (this.closed = true),
    } as unknown as Stream
    const owner = new Proxy({} as PeerLinkOwner, {
      get: (_target, name: string) =>
        name === 'logsMessages'
          ? this.logsMessages
          : (...args: unknown[]) =>
              name === 'logMessage' ? this.#line(args[0] as LogNotice) : this.#called(name, args),
    })
    this.link = new BtLink(stream, owner, this.turn)
    this.link.decoder.setFastSupported(true)
  }

  #line({ direction, event, text }: LogNotice): void {
    this.lines.push(`${direction} ${event} ${text}`.trimEnd())
  }

  #called(name: string, args: unknown[]): unknown {
    if (name === 'sendQuota') return this.quota
    if (name === 'linkReceived') {
      this.payload += args[0] as number
      this.received += (args[0] as number) + (args[1] as number)
      return undefined
    }
    if (name === 'onPieces') return 0
    if (name === 'onPiecePayload') {
      this.block.push(...(args[0] as Uint8Array).subarray(args[1] as number, args[2] as number))
      return undefined
    }
    const shown = args.map(arg => (arg instanceof Uint8Array ? Buffer.from(arg).toString('hex') : String(arg)))
    this.log.push(`${name} ${shown.join(' ')}${name === 'onPieceEnd' ? ` ${this.block.splice(0).join('.')}` : ''}`)
    this.onCall(name)
    return name === 'onPieceHeader' || name === 'onExtendedHeader'
  }
}

const FEATURES = { extended: true, fast: true, dht: false, v2Upgrade: false }
const HANDSHAKE = `13${Buffer.from('BitTorrent protocol').toString('hex')}0000000000100004${'ab'.repeat(20)}${'cd'.repeat(20)}`
const MESSAGES =
  '00000000' + // keep-alive
  '0000000101' + // unchoke
  '000000050400000007' + // have 7
  '0000000f070000000200004000010203040506' + // six bytes of a block
  '00000006140764313a65' // an extended message
const STREAM = Buffer.from(HANDSHAKE + MESSAGES, 'hex')

function feed(parts: readonly Uint8Array[]): World {
  const world = new World()
  for (const part of parts) if (part.length > 0) world.handler.onData(Uint8Array.from(part))
  return world
}

test('what a stream says does not depend on how it is cut', () => {
  const whole = feed([STREAM])
  expect(whole.log).toEqual([
    `onInfoHash 0000000000100004 ${'ab'.repeat(20)}`,
    `onPeerId ${'cd'.repeat(20)}`,
    'onKeepAlive ',
    'onUnchoke ',
    'onHave 7',
    'onPieceHeader 2 16384 6',
    'onPieceEnd 2 16384 6 1.2.3.4.5.6',
    'onExtendedHeader 7 4',
    'onExtended 7 64313a65',
  ])
  expect([whole.payload, whole.received]).toEqual([6, STREAM.length])
  for (let i = 0; i <= STREAM.length; i++) {
    for (let j = i; j <= STREAM.length; j++) {
      const cut = feed([STREAM.subarray(0, i), STREAM.subarray(i, j), STREAM.subarray(j)])
      expect(cut.log, `${i},${j}`).toEqual(whole.log)
      expect([cut.payload, cut.received], `${i},${j}`).toEqual([6, STREAM.length])
    }
  }
})

test('a read is to end where a block does', () => {
  const world = new World()
  const frame = 13 + 16384
  expect(world.link.readSize(3 * frame + 5)).toBe(3 * frame)
  world.handler.onData(Buffer.from(HANDSHAKE, 'hex'))
  // the header of a whole block, and 100 bytes of it
  const block = Buffer.alloc(113)
  block.writeUInt32BE(9 + 16384, 0)
  block[4] = 7
  world.handler.onData(block)
  expect(world.link.readSize(3 * frame + 5)).toBe(16384 - 100 + 2 * frame)
  expect(world.link.readSize(20_000)).toBe(16384 - 100)
})

test('a link that is closed from within a call makes no more calls', () => {
  for (const at of ['onInfoHash', 'onPeerId', 'onKeepAlive', 'onHave', 'onPieceHeader', 'onPieceEnd']) {
    const world = new World()
    world.onCall = name => {
      if (name === at) world.link.close()
    }
    world.handler.onData(Uint8Array.from(STREAM))
    world.handler.onData(Uint8Array.from(STREAM))
    expect(world.log.at(-1)).toContain(at)
    expect(world.closed).toBe(true)
  }
})

test('what a turn writes goes out in one write, when it ends', () => {
  const world = new World()
  let released = 0
  world.turn.run('test', () => {
    for (let i = 0; i < 5; i++) encodeHave(world.link.out(), i)
    world.link.writeBlock([Uint8Array.of(1, 2)], () => released++)
    expect(world.written).toHaveLength(0)
    expect(world.link.unsentBytes).toBe(47)
  })
  expect(world.written.map(({ length }) => length)).toEqual([47])
  expect(world.link.unsentBytes).toBe(47)
  world.flushed[0]!()
  expect(world.link.unsentBytes).toBe(0)
  expect(released).toBe(1)
})

test('without quota bytes wait, and go out when there is some', () => {
  const world = new World()
  world.quota = 4
  world.turn.run('test', () => encodeHave(world.link.out(), 1))
  expect(world.written.map(({ length }) => length)).toEqual([4])
  world.quota = 100
  world.turn.run('test', () => world.link.resumeSending())
  expect(world.written.map(({ length }) => length)).toEqual([4, 5])
})

test('closing sends what is left and gives memory back once the transport is done', () => {
  const world = new World()
  let released = 0
  world.quota = 0
  world.turn.run('test', () => {
    encodeHave(world.link.out(), 1)
    world.link.writeBlock([Uint8Array.of(9)], () => released++)
  })
  world.turn.run('test', () => world.link.close())
  expect(world.written.map(({ length }) => length)).toEqual([10])
  expect(world.closed).toBe(true)
  world.flushed[0]!()
  expect(released).toBe(1)
  world.turn.run('test', () => world.link.writeBlock([Uint8Array.of(9)], () => released++))
  expect(released).toBe(2)
})

test('a stream that ends is told of once', () => {
  const world = new World()
  const error = new ErrorCode()
  world.handler.onClose(error, Operation.sockRead)
  world.handler.onClose(error, Operation.sockRead)
  world.handler.onData(Uint8Array.from(STREAM))
  world.handler.onDrain()
  expect(world.log.map(line => line.split(' ')[0])).toEqual(['linkClosed'])
})

test('what a handler throws reaches the owner, not the transport', () => {
  const world = new World()
  world.onCall = name => {
    if (name === 'onHave') throw new Error('bug')
  }
  world.handler.onData(Uint8Array.from(STREAM))
  expect(world.log.some(line => line === 'linkCrashed Error: bug')).toBe(true)
  expect(world.turn.active).toBe(false)
})

describe('the log of a connection', () => {
  const INCOMING = [
    `incomingMessage extensions ${'0'.repeat(43)}1${'0'.repeat(17)}100 ext: FAST extension`,
    'incoming handshake info_hash received',
    `incoming handshake received peer_id: ${'cd'.repeat(20)} client: Unknown [${'.'.repeat(20)}] ascii: "${'.'.repeat(20)}"`,
    'incomingMessage keepalive',
    'incomingMessage unchoke',
    'incomingMessage have piece: 7',
    'incomingMessage piece piece: 2 s: 4000 l: 6',
    'incomingMessage dontHave piece: 1680947813',
  ]

  test('has each message that comes, however the stream is cut, and the messages are handled as ever', () => {
    const silent = feed([STREAM])
    for (let i = 0; i <= STREAM.length; i++) {
      const world = new World()
      world.logsMessages = true
      for (const part of [STREAM.subarray(0, i), STREAM.subarray(i)]) {
        if (part.length > 0) world.handler.onData(Uint8Array.from(part))
      }
      expect(world.lines, `${i}`).toEqual(INCOMING)
      expect(world.log, `${i}`).toEqual(silent.log)
    }
    expect(silent.lines).toEqual([])
  })

  test('has each message that goes out, with blocks in one piece or in views, whole or with a header of their own', () => {
    const world = new World()
    world.logsMessages = true
    const { link, turn } = world
    link.decoder.setNumPieces(10)
    turn.run('', () => {
      link.writeHandshake(FEATURES, new Uint8Array(20).fill(0xab), new Uint8Array(20).fill(0xcd))
      encodeBitfield(link.out(), new Uint8Array([0xaa, 0x80]))
      encodeHave(link.outWithNext(), 5)
      encodePieceHeader(link.out(), 3, 16384, 6)
      link.writeBlock([new Uint8Array(2), new Uint8Array(4)], () => {})
      const framed = new ByteWriter()
      encodePiece(framed, 4, 0, new Uint8Array(16384))
      encodePiece(framed, 4, 16384, new Uint8Array(100))
      link.writeBlock([framed.finish()], () => {}, true)
      link.request(1, 32768, 16384)
      link.cancel(1, 32768, 16384)
      encodeReject(link.out(), 1, 0, 16384)
      encodeSuggest(link.out(), 2)
      encodeAllowedFast(link.out(), 9)
      encodeDhtPort(link.out(), 6881)
    })
    const whole = Buffer.concat(world.written)
    expect(world.lines).toEqual([
      `outgoingMessage extensions ${'0'.repeat(43)}1${'0'.repeat(17)}100`,
      `outgoing handshake sent peer_id: ${'cd'.repeat(20)} client: Unknown [${'.'.repeat(20)}]`,
      `outgoingMessage handshake ih: ${'ab'.repeat(20)}`,
      'outgoingMessage bitfield 1010101010',
      'outgoingMessage have piece: 5',
      'outgoingMessage piece piece: 3 s: 4000 l: 6',
      'outgoingMessage piece piece: 4 s: 0 l: 4000',
      'outgoingMessage piece piece: 4 s: 4000 l: 64',
      'outgoingMessage request piece: 1 s: 8000 l: 4000',
      'outgoingMessage cancel piece: 1 s: 32768 l: 16384 b: 2',
      'outgoingMessage reject piece: 1 | s: 0 | l: 16384',
      'outgoingMessage suggestPiece piece: 2',
      'outgoingMessage allowedFast 9',
      'outgoingMessage dhtPort 6881',
    ])
    expect(whole.length).toBe(68 + 7 + 9 + 19 + 2 * 13 + 16384 + 100 + 17 * 3 + 9 + 9 + 7)
  })

  test('knows extended messages by the ids of the side that takes them', () => {
    const world = new World()
    world.logsMessages = true
    world.handler.onData(STREAM.subarray(0, 68))
    world.lines.length = 0
    const theirs = new ByteWriter()
    encodeExtendedHandshake(theirs, { ids: { ut_metadata: 99, upload_only: 98 } })
    encodeUtMetadata(theirs, 2, 0, 1, 0)
    world.handler.onData(theirs.finish())
    world.turn.run('', () => {
      encodeUtMetadata(world.link.out(), 99, 2, 1, 0)
      encodeUploadOnly(world.link.out(), 98, true)
      encodeExtended(world.link.out(), 97, new Uint8Array(3))
    })
    expect(world.lines).toEqual([
      "incomingMessage extendedHandshake { 'm': { 'upload_only': 98, 'ut_metadata': 99 } }",
      'incomingMessage utMetadata type: 0 piece: 1',
      'outgoingMessage utMetadata type: 2 (dont-have) piece: 1',
      'outgoingMessage uploadOnly 1',
      'outgoingMessage extensionMessage msg: 97 size: 5',
    ])
  })

  test('begins and ends in the middle of a connection', () => {
    const world = new World()
    world.handler.onData(STREAM.subarray(0, 68))
    const have = (piece: number) => {
      world.turn.run('', () => encodeHave(world.link.out(), piece))
      const bytes = new ByteWriter()
      encodeHave(bytes, piece)
      world.handler.onData(bytes.finish())
    }
    have(1)
    world.logsMessages = true
    have(2)
    world.logsMessages = false
    have(3)
    world.logsMessages = true
    have(4)
    expect(world.lines).toEqual(
      [2, 4].flatMap(n => [`outgoingMessage have piece: ${n}`, `incomingMessage have piece: ${n}`]),
    )
    expect(world.log.filter(line => line.startsWith('onHave'))).toEqual([1, 2, 3, 4].map(n => `onHave ${n}`))
  })
})
