import { expect, test } from 'vitest'
import { ErrorCode } from '../../../src/core/error-code.ts'
import { Operation } from '../../../src/core/operation.ts'
import type { Stream, StreamHandler } from '../../../src/core/runtime.ts'
import { Turn } from '../../../src/core/turn.ts'
import { BtLink } from '../../../src/peer/bt-link.ts'
import type { PeerLinkOwner } from '../../../src/peer/peer-link.ts'
import { encodeHave } from '../../../src/wire/message-encoder.ts'

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
      get:
        (_target, name: string) =>
        (...args: unknown[]) =>
          this.#called(name, args),
    })
    this.link = new BtLink(stream, owner, this.turn)
    this.link.decoder.setFastSupported(true)
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
