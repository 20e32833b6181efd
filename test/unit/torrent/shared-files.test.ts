/** The cases of libtorrent's test_resolve_links.cpp, and those that it has no test of. */

import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { sha1, sha256 } from '../../../src/core/hash.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import type { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import { type FileSource, ResolveLinks } from '../../../src/torrent/shared-files.ts'

const PIECE = 16384

interface Part {
  readonly name: string
  readonly bytes: Uint8Array
  readonly pad?: boolean
}

function bytesOf(size: number, seed: number): Uint8Array {
  const out = new Uint8Array(size)
  new SeededRng(seed).fill(out)
  return out
}

function pad(size: number): Part {
  return { name: `pad${size}`, bytes: new Uint8Array(size), pad: true }
}

function v1(name: string, parts: readonly Part[], pieceLength = PIECE): TorrentInfo {
  const content = Buffer.concat(parts.map(part => part.bytes))
  const pieces: Uint8Array[] = []
  for (let at = 0; at < content.length; at += pieceLength) pieces.push(sha1(content.subarray(at, at + pieceLength)))
  const files = parts.map(part => ({
    ...(part.pad === true ? { attr: 'p' } : {}),
    length: part.bytes.length,
    path: [part.name],
  }))
  const info = { files, name, 'piece length': pieceLength, pieces: Buffer.concat(pieces) }
  return loadTorrentBuffer(bencode({ info })).ti!
}

/** Files of at most one piece, whose root is their hash if they are a block at most, or of two blocks. */
function v2(name: string, parts: readonly { name: string; root: Uint8Array; size: number }[], pieceLength = PIECE) {
  const tree = Object.fromEntries(
    parts.map(part => [part.name, { '': { length: part.size, 'pieces root': part.root } }]),
  )
  const info = { 'file tree': tree, 'meta version': 2, name, 'piece length': pieceLength }
  return loadTorrentBuffer(bencode({ info, 'piece layers': {} })).ti!
}

function sourceOf(info: TorrentInfo, isWhole: (file: number) => boolean = () => true): FileSource {
  return { info, isWhole, path: file => info.layout().filePath(file, '/save') }
}

function resolve(info: TorrentInfo, ...others: readonly (TorrentInfo | FileSource)[]): string[] {
  const links = new ResolveLinks(info)
  for (const other of others) links.match('info' in other ? (other as FileSource) : sourceOf(other as TorrentInfo))
  return links.links()
}

function named(info: TorrentInfo, links: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {}
  links.forEach((link, file) => {
    if (link !== '') out[info.layout().fileName(file)] = link
  })
  return out
}

const SHARED: Part = { name: 'a', bytes: bytesOf(51200, 1) }
const SMALL = [
  { name: 'b', bytes: bytesOf(18, 2) },
  { name: 'c', bytes: bytesOf(19, 3) },
] as const
const OTHER: Part = { name: 'd', bytes: bytesOf(53248, 4) }
const TAIL = PIECE * 4 - 51200

describe('v1 files', () => {
  const padded = v1('p1', [OTHER, pad(PIECE * 4 - 53248), SHARED, pad(TAIL), SMALL[1], SMALL[0]])
  const padded2 = v1('p2', [{ ...SHARED, name: 'x' }, pad(TAIL), SMALL[1], SMALL[0]])

  test('are the same if they are aligned, and their tails are padded', () => {
    expect(named(padded2, resolve(padded2, padded))).toEqual({ x: '/save/p1/a', c: '/save/p1/c' })
    expect(named(padded, resolve(padded, padded2))).toEqual({ a: '/save/p2/x', c: '/save/p2/c' })
  })

  test('are not if either does not begin with a piece', () => {
    const loose = v1('l', [SMALL[0], SHARED, SMALL[1]])
    expect(resolve(loose, padded)).toEqual([])
    expect(resolve(padded, loose)).toEqual([])
  })

  test('are not if what follows them differs', () => {
    const first = v1('f', [SHARED, ...SMALL, OTHER])
    const single = v1('s', [SHARED])
    expect(resolve(first, padded)).toEqual([])
    expect(resolve(padded, single)).toEqual([])
    // a single file that the last piece covers with its padding is as good as one of many
    const covered = v1('s', [SHARED, pad(TAIL)])
    expect(named(padded, resolve(padded, covered))).toEqual({ a: '/save/s/a' })
  })

  test('are not if pieces differ in size', () => {
    const large = v1('p2', [SHARED, pad(TAIL), SMALL[1]], 2 * PIECE)
    expect(resolve(large, padded)).toEqual([])
  })

  test('are not if only some pieces agree', () => {
    const changed = SHARED.bytes.slice()
    changed[40_000]! ^= 1
    expect(
      named(padded, resolve(padded, v1('c', [{ name: 'a', bytes: changed }, pad(TAIL), SMALL[1], SMALL[0]]))),
    ).toEqual({ c: '/save/c/c' })
  })

  test('of the same size are told apart, whichever comes first', () => {
    const [one, two] = [bytesOf(PIECE, 8), bytesOf(PIECE, 9)]
    const twice = v1('t', [
      { name: '1', bytes: one },
      { name: '2', bytes: one },
    ])
    const mixed = v1('m', [
      { name: '1', bytes: one },
      { name: '2', bytes: two },
    ])
    expect(resolve(twice, mixed).filter(link => link !== '')).toEqual(['/save/m/1'])
    expect(named(mixed, resolve(mixed, twice))).toEqual({ 1: '/save/t/1' })
    expect(named(twice, resolve(twice, twice))).toEqual({ 1: '/save/t/1', 2: '/save/t/2' })
  })

  test('that are not whole are passed over, for those of the next torrent', () => {
    const half = sourceOf(padded, file => padded.layout().fileName(file) === 'c')
    expect(named(padded2, resolve(padded2, half))).toEqual({ c: '/save/p1/c' })
    const again = v1('q', [SHARED, pad(TAIL), SMALL[1], SMALL[0]])
    expect(named(padded2, resolve(padded2, half, again))).toEqual({ x: '/save/q/a', c: '/save/p1/c' })
  })

  test('that are empty, or padding, are nobody else s', () => {
    const one = v1('one', [{ name: 'e', bytes: new Uint8Array(0) }, pad(PIECE), SMALL[0]])
    const two = v1('two', [{ name: 'e', bytes: new Uint8Array(0) }, pad(PIECE), SMALL[1]])
    expect(resolve(one, two)).toEqual([])
  })

  test('thousands of one size cost no time', () => {
    const parts = Array.from({ length: 20_000 }, (_, i) => ({ name: `${i}`, bytes: new Uint8Array([i, i >> 8]) }))
    const apart = parts.flatMap(part => [part, pad(PIECE - 2)])
    const hashes = Buffer.concat(parts.map(part => sha1(part.bytes)))
    const make = (name: string, reversed: boolean) => {
      const order = reversed
        ? apart.toReversed().flatMap((_, i, all) => (i % 2 === 0 ? [all[i + 1]!, all[i]!] : []))
        : apart
      const pieces = reversed
        ? Buffer.concat(Array.from({ length: 20_000 }, (_, i) => hashes.subarray((19_999 - i) * 20, (20_000 - i) * 20)))
        : hashes
      const files = order.map(part => ({
        ...('pad' in part ? { attr: 'p' } : {}),
        length: part.bytes.length,
        path: [part.name],
      }))
      return loadTorrentBuffer(bencode({ info: { files, name, 'piece length': PIECE, pieces } })).ti!
    }
    const [one, two] = [make('one', false), make('two', true)]
    const began = performance.now()
    const links = resolve(one, two)
    expect(performance.now() - began).toBeLessThan(3000)
    expect(links.filter(link => link !== '').length).toBe(20_000)
    expect(links[0]).toBe('/save/two/0')
  })
})

describe('v2 files', () => {
  const root = sha256(bytesOf(9000, 5))

  const extra = { name: 'extra', root: sha256(root), size: 5 }

  test('are the same by root, whatever the piece size and the name', () => {
    const one = v2('one', [{ name: 'a', root, size: 9000 }])
    const two = v2('two', [{ name: 'z', root, size: 9000 }, extra], 4 * PIECE)
    expect(named(one, resolve(one, two))).toEqual({ a: '/save/two/z' })
    expect(resolve(one, v2('three', [{ name: 'a', root: sha256(root), size: 9000 }]))).toEqual([])
  })

  test('are not if their sizes differ: a file of two hashes has the root of one of two blocks', () => {
    const large = { name: 'b', root, size: 2 * PIECE }
    const small = { name: 'a', root, size: 64 }
    const one = v2('one', [large], 4 * PIECE)
    expect(resolve(one, v2('two', [small, extra]))).toEqual([])
    expect(named(one, resolve(one, v2('three', [small, large], 4 * PIECE)))).toEqual({ b: '/save/three/b' })
  })

  test('are nothing to a torrent of v1', () => {
    const one = v1('one', [{ name: 'a', bytes: bytesOf(9000, 5) }])
    expect(resolve(one, v2('two', [{ name: 'a', root, size: 9000 }]))).toEqual([])
  })

  test('that are there twice get a file each', () => {
    const one = v2('one', [
      { name: 'a', root, size: 9000 },
      { name: 'b', root, size: 9000 },
    ])
    const two = v2('two', [{ name: 'c', root, size: 9000 }, extra])
    expect(named(one, resolve(one, two))).toEqual({ a: '/save/two/c' })
    expect(named(one, resolve(one, two, one))).toEqual({ a: '/save/two/c', b: '/save/one/a' })
  })
})
