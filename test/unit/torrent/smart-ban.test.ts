import { expect, test } from 'vitest'
import { type BlockDigest, SmartBan } from '../../../src/torrent/smart-ban.ts'

/** Blocks' contents as letters; a space cannot be read. */
const digests =
  (content: string): BlockDigest =>
  block =>
    content[block] === ' ' ? null : Uint8Array.of(content.charCodeAt(block), 1, 2)

test('when the good piece arrives, those who sent something else are guilty', () => {
  const ban = new SmartBan()
  expect(ban.pieceFailed(3, [7, 8, 9, 7], digests('axcx'))).toEqual([])
  expect([ban.suspects(3), ban.suspectBlocks(3)]).toEqual([true, [0, 1, 2, 3]])
  expect(ban.piecePassed(3, digests('abcd')).sort()).toEqual([7, 8])
  expect([ban.suspects(3), ban.empty]).toEqual([false, true])
})

test('a piece that never failed tells nothing', () => {
  expect(new SmartBan().piecePassed(3, digests('abcd'))).toEqual([])
})

test('a peer that sends two versions of a block is guilty at once', () => {
  const ban = new SmartBan()
  ban.pieceFailed(0, [7, 8], digests('ab'))
  expect(ban.pieceFailed(0, [7, 8], digests('ax'))).toEqual([8])
})

test('each of several senders of a block over several failures is judged', () => {
  const ban = new SmartBan()
  ban.pieceFailed(0, [7], digests('x'))
  ban.pieceFailed(0, [8], digests('y'))
  ban.pieceFailed(0, [9], digests('a'))
  expect(ban.piecePassed(0, digests('a')).sort()).toEqual([7, 8])
})

test('blocks of unknown origin and those that cannot be read are left out', () => {
  const ban = new SmartBan()
  ban.pieceFailed(0, [0, 8], digests('x '))
  expect(ban.suspects(0)).toBe(false)
  ban.pieceFailed(0, [7, 8], digests('xy'))
  expect(ban.piecePassed(0, digests(' b'))).toEqual([8])
})

test('a peer whose entry is gone is not blamed under an id that is another one by now', () => {
  const ban = new SmartBan()
  ban.pieceFailed(0, [7, 8], digests('xy'))
  ban.pieceFailed(1, [7], digests('x'))
  ban.forgetPeer(7)
  expect(ban.suspects(1)).toBe(false)
  expect(ban.piecePassed(0, digests('ab'))).toEqual([8])
})

test('digests are copied, so that they may be views', () => {
  const ban = new SmartBan()
  const view = Uint8Array.of(1)
  ban.pieceFailed(0, [7], () => view)
  view[0] = 2
  expect(ban.piecePassed(0, () => Uint8Array.of(1))).toEqual([])
})

test('what is kept is limited, the pieces that failed first go first', () => {
  const ban = new SmartBan()
  const senders = new Array(1024).fill(7)
  for (let piece = 0; piece < 66; piece++) ban.pieceFailed(piece, senders, () => Uint8Array.of(1))
  expect([0, 1, 2, 65].map(p => ban.suspects(p))).toEqual([false, false, true, true])
  for (let piece = 0; piece < 66; piece++) ban.piecePassed(piece, () => Uint8Array.of(1))
  expect(ban.empty).toBe(true)
  for (let piece = 0; piece < 64; piece++) ban.pieceFailed(piece, senders, () => Uint8Array.of(1))
  expect(ban.suspects(0), 'what was judged does not count').toBe(true)
  ban.forgetPeer(7)
  expect(ban.empty).toBe(true)
})
