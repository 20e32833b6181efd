import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { FileFlags } from '../../../src/core/enums.ts'
import { ErrorCode, errnoError, genericCategory, libtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { Operation } from '../../../src/core/operation.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import type { HttpHead, HttpRequestOptions, HttpSink } from '../../../src/core/runtime.ts'
import { Turn } from '../../../src/core/turn.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import type { LogNotice, PeerSession } from '../../../src/peer/peer-host.ts'
import { Severity } from '../../../src/peer/peer-host.ts'
import { WebSeedLink, type WebSeedLinkOwner } from '../../../src/peer/web-seed-link.ts'
import type { LinkEnd, WebSeedServer } from '../../../src/peer/web-seed-server.ts'

const PIECE = 32 * 1024
const BLOCK = 16 * 1024

interface Call {
  readonly options: HttpRequestOptions
  readonly sink: HttpSink
}

interface WorldOptions {
  readonly sizes?: readonly (number | { readonly pad: number })[]
  readonly pieces?: 'all' | Bitfield
  readonly contiguousBlocks?: number
  readonly pipelining?: number
  readonly logsMessages?: boolean
}

/** A link, its server, and the connection above it, which writes down what it is told. */
class World {
  readonly log: string[] = []
  readonly lines: string[] = []
  readonly logsMessages: boolean
  readonly calls: Call[] = []
  /** Payload by `piece:begin`. */
  readonly blocks = new Map<string, Uint8Array>()
  readonly files = new FileStorage()
  readonly link: WebSeedLink
  /** What the link says of the server. */
  readonly known = { protocolV2: true, clientVersion: new Uint8Array(0) as Uint8Array }
  readonly turn = new Turn(
    () => 0,
    error => {
      throw error
    },
  )
  sessionClosed = false
  wants = true

  constructor(options: WorldOptions = {}) {
    const { sizes = [PIECE * 4], pieces = 'all', contiguousBlocks = 64, pipelining = 1 } = options
    this.logsMessages = options.logsMessages ?? false
    this.files.setPieceLength(PIECE)
    sizes.forEach((size, i) => {
      if (typeof size === 'number') this.files.addFile(sizes.length === 1 ? 'f' : `t/${i}`, size)
      else this.files.addFile(`t/.pad/${size.pad}`, size.pad, FileFlags.flagPadFile)
    })
    this.files.setNumPieces(Math.ceil(this.files.totalSize() / PIECE))
    const end = (what: string): LinkEnd => {
      this.log.push(what)
      return { error: libtorrentError(LibtorrentErrors.redirecting), severity: Severity.normal }
    }
    const server: WebSeedServer = {
      kind: 'webSeed',
      remote: ['1.2.3.4', 80],
      secure: false,
      url: 'http://host/',
      hostName: 'host',
      files: this.files,
      contiguousBlocks,
      pieces,
      pipelining,
      brokeInPipeline: () => void this.log.push('broke in pipeline'),
      openSession: () => ({
        request: (options, sink) => {
          this.calls.push({ options, sink })
          return {
            pause: () => void this.log.push('pause'),
            resume: () => void this.log.push('resume'),
            abort: () => {},
          }
        },
        close: () => {
          this.sessionClosed = true
        },
      }),
      request: (file, start, to, first) => ({
        url: `http://host/${file}`,
        headers: { range: `bytes=${start}-${to - 1}`, ...(first ? { first: 'yes' } : {}) },
        timeoutMs: 1000,
        maxBodyBytes: to - start,
        maxRedirects: 0,
        verifyCertificate: true,
      }),
      redirected: (file, _head, location) => end(`redirected ${file} ${location}`),
      refused: (file, head) => end(`refused ${file} ${head.status}`),
      unusable: error => end(`unusable ${error.message()}`),
    }
    const session = { turn: this.turn, rng: new SeededRng(1) } as unknown as PeerSession
    this.turn.enter()
    this.link = new WebSeedLink(server, this.#owner(), session)
    this.turn.leave()
  }

  #owner(): WebSeedLinkOwner {
    const { log } = this
    const told = {
      logsMessages: this.logsMessages,
      logMessage: ({ direction, event, text }: LogNotice) => void this.lines.push(`${direction} ${event} ${text}`),
      linkConnected: () => this.link.writeHandshake({} as never, new Uint8Array(20).fill(7)),
      linkReceived: (payload: number, protocol: number) =>
        void log.push(payload > 0 ? `received ${payload}` : `head of ${protocol > 0 ? 'some' : 'no'} bytes`),
      linkSent: () => {},
      linkCrashed: (error: unknown) => {
        throw error
      },
      onPieceHeader: (piece: number, begin: number, length: number) => {
        log.push(`begin ${piece}:${begin}`)
        if (this.wants) this.blocks.set(`${piece}:${begin}`, new Uint8Array(length).fill(0xee))
        return this.wants
      },
      onPiecePayload: (chunk: Uint8Array, start: number, end: number, offset: number) => {
        const last = [...this.blocks.values()].at(-1)!
        last.set(chunk.subarray(start, end), offset)
      },
      onPieceEnd: (piece: number, begin: number) => void log.push(`end ${piece}:${begin}`),
      onPeerId: (id: Uint8Array) => void log.push(`id of ${id.length} bytes`),
      onInfoHash: (_reserved: Uint8Array, hash: Uint8Array) => void log.push(`hash ${hash[0]}`),
      onBitfield: (bits: Uint8Array) => void log.push(`bitfield ${Buffer.from(bits).toString('hex')}`),
      disconnect: (error: ErrorCode, operation: Operation, how: Severity) => {
        log.push(`disconnect: ${error.message()}, ${operation}, ${how}`)
        this.link.close()
      },
    }
    // the rest is noted by its name
    return new Proxy(Object.assign(this.known, told) as unknown as WebSeedLinkOwner, {
      get: (target, name) =>
        Reflect.get(target, name) ?? ((...args: unknown[]) => void log.push([name, ...args].join(' '))),
    })
  }

  ask(...blocks: (readonly [piece: number, block: number, length?: number])[]): void {
    this.turn.enter()
    for (const [piece, block, length] of blocks) this.link.request(piece, block * BLOCK, length ?? BLOCK)
    this.turn.leave()
  }

  /** What the server was asked, as `file start-end`. */
  asked(): string[] {
    return this.calls.map(({ options }) => {
      return `${options.url.slice('http://host/'.length)} ${options.headers!['range']!.slice('bytes='.length)}`
    })
  }

  head(status = 206, headers: Record<string, string> = {}, call = this.calls.at(-1)!): void {
    const range = call.options.headers!['range']!.replace('=', ' ')
    const all = { 'content-range': `${range}/100000`, ...headers }
    const head: HttpHead = { status, statusText: 'so', headers: all, url: call.options.url, remoteAddress: '' }
    call.sink.onHead(head)
  }

  /** Answers the request that was made last, in parts of so many bytes. */
  answer(part = 5000, call = this.calls.at(-1)!): void {
    this.head(206, {}, call)
    const [start, last] = call.options.headers!['range']!.slice('bytes='.length).split('-').map(Number)
    const file = Number(call.options.url.slice('http://host/'.length))
    const bytes = content(file).subarray(start, last! + 1)
    for (let at = 0; at < bytes.length; at += part) call.sink.onData(bytes.slice(at, at + part))
    call.sink.onEnd()
  }
}

function content(file: number): Uint8Array {
  return new Uint8Array(PIECE * 8).map((_, i) => (i * 7 + file * 13 + (i >> 9)) & 0xff)
}

describe('to the connection a server is a seed', () => {
  test('that says hello, and lets itself be asked', () => {
    const world = new World()
    expect(world.log).toEqual(['hash 7', 'id of 20 bytes', 'onHaveAll', 'onUnchoke'])
  })

  test('or has some pieces, or none', () => {
    const some = new Bitfield(4)
    some.setBit(2)
    expect(new World({ pieces: some }).log).toContain('bitfield 20')
    expect(new World({ pieces: new Bitfield(4) }).log).toContain('onHaveNone')
  })

  test('that does not hear what is of no use to it', () => {
    const world = new World()
    let released = 0
    world.link.out().uint32(1).uint8(1)
    world.link.outWithNext().uint32(5)
    world.link.write()
    world.link.writeBlock([], () => released++)
    world.link.resumeSending()
    expect(world.link).toMatchObject({ unsentBytes: 0, holdsBytes: false })
    expect(released).toBe(1)
    expect(world.calls).toEqual([])
  })
})

describe('blocks that were asked for', () => {
  test('in a row are fetched in one request, others in one after it', () => {
    const world = new World()
    world.ask([0, 0], [0, 1], [1, 0], [3, 1])
    expect(world.asked()).toEqual(['0 0-49151'])
    expect(world.calls[0]!.options.headers!['first']).toBe('yes')
    world.answer()
    expect(world.asked()).toEqual(['0 0-49151', '0 114688-131071'])
    expect(world.calls[1]!.options.headers!['first']).toBeUndefined()
    world.answer()
    expect(world.log.filter(line => line.startsWith('end'))).toEqual([
      'end 0:0',
      'end 0:16384',
      'end 1:0',
      'end 3:16384',
    ])
    expect(world.blocks.get('3:16384')).toEqual(content(0).subarray(114_688, 131_072))
  })

  test('while something is on its way are fetched after it, up to the limit at once', () => {
    const world = new World({ contiguousBlocks: 2 })
    world.ask([0, 0])
    world.ask([0, 1], [1, 0], [1, 1])
    expect(world.asked()).toEqual(['0 0-16383'])
    world.answer()
    expect(world.asked().slice(1)).toEqual(['0 16384-49151'])
    world.answer()
    expect(world.asked().slice(2)).toEqual(['0 49152-65535'])
  })

  test('are put together however the body is cut', () => {
    const whole = new World()
    whole.ask([0, 0], [0, 1])
    whole.answer(PIECE)
    for (const part of [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, PIECE - 1]) {
      const world = new World()
      world.ask([0, 0], [0, 1])
      world.answer(part)
      const events = (w: World) => w.log.filter(line => !line.startsWith('received'))
      expect(events(world), `${part}`).toEqual(events(whole))
      expect([...world.blocks], `${part}`).toEqual([...whole.blocks])
    }
  })

  test('that have parts of several files are fetched from each, pad files being zeros', () => {
    const world = new World({ sizes: [10_000, { pad: 3000 }, 20_000, 0, { pad: PIECE - 33_000 + PIECE }, 500] })
    world.ask([0, 0], [0, 1], [1, 0], [1, 1])
    expect(world.asked()).toEqual(['0 0-9999'])
    world.answer()
    expect(world.asked().slice(1)).toEqual(['2 0-19999'])
    world.answer()
    expect(world.calls).toHaveLength(2)
    const expected = new Uint8Array(PIECE * 2)
    expected.set(content(0).subarray(0, 10_000))
    expected.set(content(2).subarray(0, 20_000), 13_000)
    const blocks = [world.blocks.get('0:0')!, world.blocks.get('0:16384')!]
    expect(Buffer.concat(blocks).equals(expected.subarray(0, PIECE))).toBe(true)
    expect(world.log).toContain('end 1:16384')
    world.ask([2, 0, 500])
    expect(world.asked().slice(2)).toEqual(['5 0-499'])
  })

  test('that are all padding are not asked for', () => {
    const world = new World({ sizes: [100, { pad: PIECE * 2 - 100 }, 100] })
    world.ask([0, 1], [1, 0])
    expect(world.calls).toEqual([])
    expect(world.log.slice(4)).toEqual(['begin 0:16384', 'end 0:16384', 'begin 1:0', 'end 1:0'])
  })

  test('and are not wanted any more are received and dropped', () => {
    const world = new World()
    world.wants = false
    world.ask([0, 0])
    world.answer()
    expect(world.blocks.size).toBe(0)
    expect(world.log).toContain('end 0:0')
  })

  test('can be taken back until the server is asked', () => {
    const world = new World()
    world.ask([0, 0])
    world.turn.enter()
    world.link.request(2, 0, BLOCK)
    world.link.request(3, 0, BLOCK)
    world.link.cancel(2, 0, BLOCK)
    world.link.cancel(0, 0, BLOCK)
    expect(world.log).not.toContain('onReject 2 0 16384')
    world.turn.leave()
    expect(world.log.filter(line => line.startsWith('onReject'))).toEqual([`onReject 2 0 ${BLOCK}`])
    world.answer()
    expect(world.asked()).toEqual(['0 0-16383', `0 ${3 * PIECE}-${3 * PIECE + BLOCK - 1}`])
  })

  test('are asked for several at a time while they are small, and come in their order', () => {
    const world = new World({ sizes: [100, 200, { pad: PIECE - 300 }, 400, 500, 600, BLOCK], pipelining: 3 })
    world.ask([0, 0], [0, 1], [1, 0], [1, 1, 1500])
    expect(world.asked()).toEqual(['0 0-99', '1 0-199', '3 0-399'])
    world.answer(50, world.calls[0])
    expect(world.asked().slice(3)).toEqual(['4 0-499'])
    world.answer(50, world.calls[1])
    // the padding behind it is there with it
    expect(world.log.filter(line => line.startsWith('end'))).toEqual(['end 0:0', 'end 0:16384'])
    for (let i = 2; i < world.calls.length; i++) world.answer(1000, world.calls[i])
    expect(world.log.filter(line => line.startsWith('end'))).toHaveLength(4)
    const expected = [content(3).subarray(0, 400), content(4).subarray(0, 500), content(5).subarray(0, 600)]
    expect(Buffer.from(world.blocks.get('1:0')!.subarray(0, 1500)).equals(Buffer.concat(expected))).toBe(true)
  })

  test('are not asked for ahead of a long answer', () => {
    const world = new World({ sizes: [PIECE * 256], pipelining: 5, contiguousBlocks: 128 })
    world.ask(...Array.from({ length: 512 }, (_, i) => [i >> 1, i & 1] as const))
    const ahead = world.asked().length
    expect(ahead).toBeGreaterThan(1)
    expect(ahead).toBeLessThan(5)
  })

  test('can be waited with', () => {
    const world = new World({ sizes: [BLOCK, BLOCK, BLOCK] })
    world.ask([0, 0], [0, 1])
    world.link.pause()
    world.link.resume()
    world.link.pause()
    expect(world.log.slice(4)).toEqual(['pause', 'resume', 'pause'])
    world.answer()
    // the next request waits too
    expect(world.log.at(-1)).toBe('pause')
    expect(world.calls).toHaveLength(2)
  })
})

describe('an answer that is not the one', () => {
  const heads: readonly (readonly [string, number, Record<string, string>, string])[] = [
    ['is elsewhere', 302, { location: '/x' }, 'redirected 0 /x'],
    ['is not there', 404, {}, 'refused 0 404'],
    ['is compressed', 206, { 'content-encoding': 'br' }, 'unusable invalid HTTP range'],
  ]
  for (const [what, status, headers, told] of heads) {
    test(`${what}: the list is told, and the connection ends`, () => {
      const world = new World()
      world.ask([0, 0], [3, 0])
      world.head(status, headers)
      expect(world.log.slice(-2)).toEqual([told, `disconnect: redirecting, ${Operation.bittorrent}, 0`])
      expect(world.sessionClosed).toBe(true)
      // nothing more is heard of it
      const before = world.log.length
      world.calls[0]!.sink.onData(new Uint8Array(10))
      world.calls[0]!.sink.onEnd()
      world.ask([1, 0])
      expect(world.log).toHaveLength(before)
      expect(world.calls).toHaveLength(1)
    })
  }

  test('has another range, or ends early', () => {
    const other = new World()
    other.ask([0, 0])
    other.head(206, { 'content-range': 'bytes 1-2/3' })
    const short = new World()
    short.ask([0, 0])
    short.head()
    short.calls[0]!.sink.onData(new Uint8Array(BLOCK - 1))
    short.calls[0]!.sink.onEnd()
    for (const world of [other, short]) {
      expect(world.log.at(-1)).toBe(`disconnect: invalid HTTP range, ${Operation.bittorrent}, ${Severity.peerError}`)
    }
  })

  const failures: readonly (readonly [string, ErrorCode, Operation, string])[] = [
    [
      'is too long',
      new ErrorCode(errnoError('EFBIG').value(), genericCategory()),
      Operation.sockRead,
      `invalid HTTP range, ${Operation.bittorrent}, ${Severity.peerError}`,
    ],
    [
      'does not come',
      libtorrentError(LibtorrentErrors.timedOut),
      Operation.sockRead,
      `timed out: inactivity, ${Operation.bittorrent}, ${Severity.normal}`,
    ],
    [
      'breaks off',
      errnoError('ECONNRESET'),
      Operation.sockRead,
      `Connection reset by peer, ${Operation.sockRead}, ${Severity.normal}`,
    ],
    [
      'cannot be asked for',
      errnoError('ECONNREFUSED'),
      Operation.connect,
      `Connection refused, ${Operation.connect}, ${Severity.failure}`,
    ],
    [
      'is no HTTP',
      libtorrentError(LibtorrentErrors.httpParseError),
      Operation.sockRead,
      `Invalid HTTP header, ${Operation.sockRead}, ${Severity.peerError}`,
    ],
  ]
  for (const [what, error, operation, told] of failures) {
    test(what, () => {
      const world = new World()
      world.ask([0, 0])
      world.calls[0]!.sink.onError(error, operation)
      expect(world.log.at(-1)).toBe(`disconnect: ${told}`)
    })
  }
})

test('a server whose connection breaks while several requests are on their way is not asked like that again', () => {
  for (const [operation, blocks, told] of [
    [Operation.sockRead, 2, true],
    [Operation.sockRead, 1, false],
    [Operation.connect, 2, false],
  ] as const) {
    const world = new World({ sizes: [BLOCK, BLOCK], pipelining: 3 })
    world.ask(
      ...(
        [
          [0, 0],
          [0, 1],
        ] as const
      ).slice(0, blocks),
    )
    expect(world.calls).toHaveLength(blocks)
    world.calls[0]!.sink.onError(errnoError('ECONNRESET'), operation)
    expect(world.log.includes('broke in pipeline')).toBe(told)
  }
})

test('a server is known by its host, then by the name it gives itself, which is cut', () => {
  const world = new World()
  expect(Buffer.from(world.known.clientVersion).toString()).toBe('host')
  expect(world.known.protocolV2).toBe(false)
  world.ask([0, 0])
  world.head(206, { server: 'x'.repeat(10_000) })
  expect(world.known.clientVersion).toHaveLength(255)
})

describe('the log of a connection', () => {
  test('says what was asked for, what the answer was, and which blocks came of it', () => {
    const world = new World({ sizes: [BLOCK + 100, { pad: PIECE - BLOCK - 100 }, 50], logsMessages: true })
    world.ask([0, 0], [0, 1], [1, 0, 50])
    world.answer(BLOCK)
    world.answer(BLOCK)
    world.link.close()
    world.link.close()
    expect(world.lines).toEqual([
      'info webSeed web_peer_connection http://host/',
      'outgoingMessage request (piece: 0 start: 0) - (piece: 1 end: 50)',
      'outgoingMessage request GET http://host/0\r\nrange: bytes=0-16483\r\nfirst: yes',
      'info status 206 so',
      'info status    content-range: bytes 0-16483/100000',
      'incomingMessage incomingPayload 16384 bytes',
      'incomingMessage popRequest piece: 0 start: 0 len: 16384',
      'incomingMessage incomingPayload 100 bytes',
      'info handlePadfile file: 1 start: 0 len: 16284',
      'incomingMessage popRequest piece: 0 start: 16384 len: 16384',
      'outgoingMessage request GET http://host/2\r\nrange: bytes=0-49',
      'info status 206 so',
      'info status    content-range: bytes 0-49/100000',
      'incomingMessage incomingPayload 50 bytes',
      'incomingMessage popRequest piece: 1 start: 0 len: 50',
      'info webSeed CLOSED',
    ])
  })

  test('says what was wrong with an answer', () => {
    const linesOf = (answer: (world: World) => void) => {
      const world = new World({ logsMessages: true })
      world.ask([0, 0])
      answer(world)
      return world.lines.filter(line => !/ (status |request [G(]|webSeed )/.test(line))
    }
    expect(linesOf(world => world.head(302, { location: 'http://other/' }))).toEqual(['info location http://other/'])
    expect(linesOf(world => world.head(404))).toEqual(['info missingFile http-code: 404 | file: 0'])
    expect(linesOf(world => world.head(206, { 'content-range': 'bytes 5-9/10' }))).toEqual([
      'incoming invalidHttpResponse in=(0, 5-9) expected=(0, 0-16383)',
    ])
    expect(linesOf(world => world.head(206, { 'content-range': 'what' }))).toEqual([
      'incoming invalidHttpResponse in=(none) expected=(0, 0-16383)',
    ])
    const short = (world: World) => {
      world.head()
      world.calls[0]!.sink.onEnd()
    }
    expect(linesOf(short)).toEqual(['incoming invalidHttpResponse received body: 0 request size: 16384'])
  })
})
