import { describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import { ARENA_PIECE, ARENA_PIECES, type Arena, inArena, u32 } from './lib/arena.ts'
import { type FakePeer, PeerMessage as M } from './lib/fake-peer.ts'

/** A peer that breaks the protocol, and how libtorrent puts it. */
interface Offence {
  readonly name: string
  readonly code: number
  readonly text: string
  readonly commit: (peer: FakePeer, arena: Arena) => void
  /** Reserved bytes of its handshake; fast extension and extension protocol if absent. */
  readonly reserved?: Uint8Array
}

const BITS = ARENA_PIECES / 8
const NO_EXTENSIONS = new Uint8Array(8)

function message(length: number, ...bytes: number[]): Buffer {
  return Buffer.concat([u32(length), Uint8Array.from(bytes)])
}

function offence(name: string, code: number, text: string, commit: Offence['commit'], reserved?: Uint8Array): Offence {
  return { name, code, text, commit, ...(reserved === undefined ? {} : { reserved }) }
}

const TOO_LARGE = [E.packetTooLarge, 'packet too large'] as const
const BAD_BITFIELD = [E.invalidBitfieldSize, 'bitfield of invalid size'] as const
const BAD_PIECE = [E.invalidPiece, 'invalid piece packet'] as const

const OFFENCES: Offence[] = [
  offence('a length of 2^31', ...TOO_LARGE, peer => peer.raw(message(0x80000000, M.piece))),
  offence('a length of 2^32 - 1', ...TOO_LARGE, peer => peer.raw(message(0xffffffff, M.bitfield))),
  offence('a length of 1 MiB + 1', ...TOO_LARGE, peer => peer.raw(message(1024 * 1024 + 1, M.extended))),
  offence('a block of 16 KiB + 1', ...TOO_LARGE, peer =>
    peer.raw(message(9 + BLOCK_SIZE + 1, M.piece), u32(0, 0), Buffer.alloc(BLOCK_SIZE + 1)),
  ),
  offence('a bitfield that is too short', ...BAD_BITFIELD, peer => peer.send(M.bitfield, Buffer.alloc(BITS - 1))),
  offence('a bitfield that is too long', ...BAD_BITFIELD, peer => peer.send(M.bitfield, Buffer.alloc(BITS + 1))),
  offence('a bitfield of 1 MiB', ...BAD_BITFIELD, peer => peer.raw(message(1024 * 1024, M.bitfield))),
  offence('a have out of range', E.invalidHave, "'have'-message with higher index than the number of pieces", peer =>
    peer.sendHave(ARENA_PIECES),
  ),
  offence('a have of 2^32 - 1', E.invalidHave, "'have'-message with higher index than the number of pieces", peer =>
    peer.send(M.have, u32(0xffffffff)),
  ),
  offence('a block of a piece out of range', ...BAD_PIECE, peer =>
    peer.sendBlock(ARENA_PIECES, 0, Buffer.alloc(BLOCK_SIZE)),
  ),
  offence('a block of piece 2^31', ...BAD_PIECE, peer => peer.sendBlock(0x80000000, 0, Buffer.alloc(BLOCK_SIZE))),
  offence('a misaligned block', ...BAD_PIECE, peer => peer.sendBlock(0, 1, Buffer.alloc(BLOCK_SIZE))),
  offence('overlapping blocks', ...BAD_PIECE, peer => {
    peer.sendBlock(0, 0, Buffer.alloc(BLOCK_SIZE))
    peer.sendBlock(0, BLOCK_SIZE / 2, Buffer.alloc(BLOCK_SIZE))
  }),
  offence('a block behind the end of its piece', ...BAD_PIECE, peer =>
    peer.sendBlock(0, ARENA_PIECE, Buffer.alloc(BLOCK_SIZE)),
  ),
  offence('a block that is a byte short', ...BAD_PIECE, peer => peer.sendBlock(0, 0, Buffer.alloc(BLOCK_SIZE - 1))),
  offence('an unknown message', E.invalidMessage, 'invalid message', peer => peer.send(99, Buffer.alloc(5))),
  offence('an unknown extended message', E.invalidMessage, 'invalid message', peer =>
    peer.send(M.extended, Uint8Array.of(77), Buffer.alloc(100)),
  ),
  offence('an extended message without an id', E.invalidExtended, 'invalid extended message', peer =>
    peer.send(M.extended),
  ),
  offence('a choke with a payload', E.invalidChoke, 'invalid choke message', peer => peer.send(M.choke, u32(0))),
  offence('an unchoke with a payload', E.invalidUnchoke, 'invalid unchoke message', peer =>
    peer.send(M.unchoke, u32(0)),
  ),
  offence('an interested with a payload', E.invalidInterested, 'invalid interested message', peer =>
    peer.send(M.interested, u32(0)),
  ),
  offence('a not interested with a payload', E.invalidNotInterested, 'invalid not-interested message', peer =>
    peer.send(M.notInterested, u32(0)),
  ),
  offence('a short have', E.invalidHave, "'have'-message with higher index than the number of pieces", peer =>
    peer.send(M.have, Uint8Array.of(0, 0, 1)),
  ),
  offence('a short request', E.invalidRequest, 'invalid request message', peer => peer.send(M.request, u32(0, 0))),
  offence('a long cancel', E.invalidCancel, 'invalid cancel message', peer => peer.send(M.cancel, u32(0, 0, 0, 0))),
  offence('a short port', E.invalidDhtPort, 'invalid dht-port message', peer => peer.send(M.port, Uint8Array.of(1))),
  offence('a short suggest', E.invalidSuggest, 'invalid suggest piece message', peer => peer.send(M.suggest)),
  offence('a have all with a payload', E.invalidHaveAll, 'invalid have-all message', peer =>
    peer.send(M.haveAll, u32(1)),
  ),
  offence('a have none with a payload', E.invalidHaveNone, 'invalid have-none message', peer =>
    peer.send(M.haveNone, u32(1)),
  ),
  offence('a short reject', E.invalidReject, 'invalid reject message', peer => peer.send(M.reject, u32(1))),
  offence('a short allowed fast', E.invalidAllowFast, 'invalid allow-fast message', peer =>
    peer.send(M.allowedFast, Uint8Array.of(1)),
  ),
  offence(
    'a have all without the fast extension',
    E.invalidHaveAll,
    'invalid have-all message',
    peer => peer.send(M.haveAll),
    NO_EXTENSIONS,
  ),
  offence(
    'a reject without the fast extension',
    E.invalidReject,
    'invalid reject message',
    peer => peer.send(M.reject, u32(0, 0, BLOCK_SIZE)),
    NO_EXTENSIONS,
  ),
  offence('hashes nobody asked for', E.invalidMessage, 'invalid message', peer => peer.send(22, Buffer.alloc(80))),
  offence(
    'a request while it is choked',
    E.tooManyRequestsWhenChoked,
    'too many piece requests while choked',
    (peer, { sim, victim }) => {
      const piece = [...Array(ARENA_PIECES).keys()].find(p => victim.handle.havePiece(p))!
      peer.send(M.haveNone)
      sim.run(3000)
      // it may be in the allowed-fast set: more than is allowed of that
      for (let i = 0; i < 20; i++) peer.sendRequest(piece, 0, BLOCK_SIZE)
    },
  ),
]

describe('a peer that breaks the protocol is disconnected with the error of libtorrent, and harms nobody', () => {
  test.each(OFFENCES)('$name', ({ code, text, commit, reserved }) => {
    inArena(100, { victim: { settings: { unchoke_slots_limit: 0 } } }, arena => {
      const peer = arena.attackAfterHandshake(reserved === undefined ? {} : { reserved })
      expect(peer.handshake).not.toBeNull()
      commit(peer, arena)
      arena.sim.run(2000)
      expect(peer.closed).not.toBeNull()
      const ends = arena.ends()
      expect(ends.map(end => end.what)).toEqual(['peer_error'])
      expect(ends[0]!.error.message()).toBe(text)
      expect(ends[0]!.error.value()).toBe(code)
      arena.finish()
    })
  })
})
