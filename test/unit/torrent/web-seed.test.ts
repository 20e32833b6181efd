import { describe, expect, test } from 'vitest'
import { Bitfield } from '../../../src/core/bitfield.ts'
import { FileFlags } from '../../../src/core/enums.ts'
import type { HttpRequestOptions, HttpSession, ProxyOptions } from '../../../src/core/runtime.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { contiguousBlocks, piecesOfFiles, WebSeed } from '../../../src/torrent/web-seed.ts'

const PIECE = 16_384

function files(sizes: readonly (number | { pad: number })[]): FileStorage {
  const storage = new FileStorage()
  storage.setPieceLength(PIECE)
  sizes.forEach((size, i) => {
    if (typeof size === 'number') storage.addFile(`t/${i}`, size)
    else storage.addFile(`t/.pad/${size.pad}`, size.pad, FileFlags.flagPadFile)
  })
  storage.setNumPieces(Math.ceil(storage.totalSize() / PIECE))
  return storage
}

function have(count: number, ...which: number[]): Bitfield {
  const bits = new Bitfield(count)
  for (const i of which) bits.setBit(i)
  return bits
}

describe('the pieces of the files that a server has', () => {
  test('are those that no other file has a part in', () => {
    const storage = files([PIECE * 2, PIECE + 100, 200, PIECE * 2])
    const pieces = (...which: number[]) => piecesOfFiles(storage, have(4, ...which)).toArray()
    expect(pieces(0, 1, 2, 3)).toEqual([true, true, true, true, true, true])
    expect(pieces(0)).toEqual([true, true, false, false, false, false])
    expect(pieces(1)).toEqual([false, false, true, false, false, false])
    expect(pieces(1, 2, 3)).toEqual([false, false, true, true, true, true])
    expect(pieces()).toEqual([false, false, false, false, false, false])
  })

  test('need no pad files and no empty ones', () => {
    const storage = files([PIECE + 10, { pad: PIECE - 10 }, 0, 500])
    expect(piecesOfFiles(storage, have(4, 0)).toArray()).toEqual([true, true, false])
    expect(piecesOfFiles(storage, have(4, 3)).toArray()).toEqual([false, false, true])
  })
})

test('a request is for as much as the setting says, but a piece and a mebibyte at least', () => {
  const settings = new SessionSettings()
  expect(contiguousBlocks(settings, PIECE)).toBe(1024)
  settings.urlseedMaxRequestBytes = 0
  expect(contiguousBlocks(settings, PIECE)).toBe(64)
  expect(contiguousBlocks(settings, 4 << 20)).toBe(256)
})

class Reports {
  readonly settings = new SessionSettings()
  proxy: ProxyOptions | null = null
  localAddress(): string | null {
    return '10.0.0.9'
  }
  openSession(): HttpSession {
    throw new Error('not asked for')
  }
  redirected(): never {
    throw new Error('not asked for')
  }
  refused(): never {
    throw new Error('not asked for')
  }
  unusable(): never {
    throw new Error('not asked for')
  }
}

function ask(seed: WebSeed, change: (reports: Reports) => void = () => {}, first = true): HttpRequestOptions {
  const reports = new Reports()
  change(reports)
  const server = seed.server(files([1000, 1000]), ['1.2.3.4', 80], 'h', reports)
  return server.request(1, 100, 300, first)
}

describe('a request', () => {
  const seed = new WebSeed({ url: 'http://h/d', auth: 'Bearer x', extraHeaders: [['Cookie', 'a=b']] })

  test('says what is wanted, and who wants it', () => {
    const options = ask(seed, reports => {
      reports.settings.userAgent = 'me/1'
      reports.settings.urlseedTimeout = 7
    })
    expect(options.url).toBe('http://h/d/t/1')
    expect(options.headers).toEqual({
      'user-agent': 'me/1',
      authorization: 'Bearer x',
      cookie: 'a=b',
      range: 'bytes=100-299',
    })
    expect(options).toMatchObject({ maxBodyBytes: 200, maxRedirects: 0, timeoutMs: 7000, decompress: false })
    expect(options).toMatchObject({ localAddress: '10.0.0.9', proxy: null, verifyCertificate: true })
    expect(ask(seed, undefined, false).headers).not.toHaveProperty('user-agent')
  })

  test('goes to the address that was judged, whatever the name has come to mean', () => {
    expect(ask(seed).filterAddresses!(['6.6.6.6'], new URL('http://h/'))).toEqual(['1.2.3.4'])
  })

  test('goes through the proxy of peers, from any address', () => {
    const proxy = { type: 2, hostname: 'p', port: 1080, username: '', password: '' }
    const options = ask(seed, reports => {
      reports.proxy = proxy
    })
    expect(options).toMatchObject({ proxy, localAddress: null })
  })

  test('follows a redirect of its file', () => {
    const moved = new WebSeed({ url: 'http://h/', auth: '', extraHeaders: [] })
    moved.redirects.set(1, { url: 'http://h/elsewhere', hops: 1 })
    expect(ask(moved).url).toBe('http://h/elsewhere')
  })
})

test('a server without files is of no interest, until it is found to have one', () => {
  const storage = files([1000, { pad: 15_384 }, 1000])
  const seed = new WebSeed({ url: 'http://h/', auth: '', extraHeaders: [] })
  seed.lacks(0, storage)
  expect(seed.interesting).toBe(true)
  seed.lacks(2, storage)
  expect(seed.interesting).toBe(false)
  seed.gains(2)
  expect(seed.interesting).toBe(true)
  expect(piecesOfFiles(storage, seed.haveFiles!).toArray()).toEqual([false, true])
})
