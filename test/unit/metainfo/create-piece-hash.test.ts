import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PieceHasher, v2LeafCount } from '../../../src/metainfo/piece-hash.ts'

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest()

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255)
}

/** Leaves and root the plain way. */
function plainV2(data: Uint8Array, leafCount: number): { leaves: Uint8Array; root: Uint8Array } {
  let layer: Uint8Array[] = []
  for (let at = 0; at < data.length; at += 16384) layer.push(sha256(data.subarray(at, at + 16384)))
  const leaves = new Uint8Array(Buffer.concat(layer))
  while (layer.length < leafCount) layer.push(new Uint8Array(32))
  while (layer.length > 1) {
    const up: Uint8Array[] = []
    for (let i = 0; i < layer.length; i += 2) up.push(sha256(Buffer.concat([layer[i]!, layer[i + 1]!])))
    layer = up
  }
  return { leaves, root: new Uint8Array(layer[0]!) }
}

describe.each([0, 1, 16383, 16384, 16385, 65535, 65536])('a piece of %i bytes', length => {
  const data = bytes(length)
  const sha1 = new Uint8Array(createHash('sha1').update(data).digest())
  const { leaves, root } = plainV2(data, 4)

  test.each([1000, 16384, 20000, 32768, 65536])('hashes the same however it is cut (%i)', step => {
    const views: Uint8Array[] = []
    for (let at = 0; at < length; at += step) views.push(data.subarray(at, at + step))
    const hasher = new PieceHasher(true, true, 4)
    for (const view of views) hasher.update(view)
    const out = new Uint8Array(leaves.length)
    hasher.copyBlockHashes(out)
    expect(out).toEqual(leaves)
    expect(new Uint8Array(hasher.takeV1())).toEqual(sha1)
    expect(hasher.takeV2Root(4)).toEqual(root)
  })
})

test('padding counts for v1 only, and a hasher is ready for the next piece', () => {
  const data = bytes(20000)
  const padded = new Uint8Array(65536)
  padded.set(data)
  const hasher = new PieceHasher(true, true, 4)
  for (let i = 0; i < 3; i++) {
    hasher.update(data)
    hasher.updatePad(65536 - 20000)
    expect(new Uint8Array(hasher.takeV1())).toEqual(new Uint8Array(createHash('sha1').update(padded).digest()))
    expect(hasher.takeV2Root(4)).toEqual(plainV2(data, 4).root)
  }
})

test('more data than the piece has leaves is refused', () => {
  const hasher = new PieceHasher(false, true, 2)
  expect(() => hasher.update(bytes(16384 * 3))).toThrow(RangeError)
  expect(() => new PieceHasher(false, true, 2).takeV1()).toThrow()
})

test('files not longer than a piece have as many leaves as their blocks need', () => {
  const pieceLength = 65536
  expect([1, 16384, 16385, 49152, 65536, 65537].map(size => v2LeafCount(size, pieceLength))).toEqual([1, 1, 2, 4, 4, 4])
})
