import { describe, expect, test } from 'vitest'
import { InfoHash, Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { ProtocolVersion } from '../../../src/core/enums.ts'
import { type ErrorCode, libtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors as E } from '../../../src/core/error-table.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { PeerHandshake } from '../../../src/peer/peer-handshake.ts'
import { Severity } from '../../../src/peer/peer-host.ts'
import { encodeHandshake, type HandshakeFeatures, readFeatures } from '../../../src/wire/handshake.ts'

const V1 = new Sha1Hash(new Uint8Array(20).fill(1))
const V2 = new Sha256Hash(new Uint8Array(32).fill(2))
const CUT = new Sha1Hash(V2.view().subarray(0, 20))
const OTHER = new Sha1Hash(new Uint8Array(20).fill(9))

const KINDS = {
  'v1-only': new InfoHash(V1),
  'v2-only': new InfoHash(V2),
  hybrid: new InfoHash(V1, V2),
} as const
type Kind = keyof typeof KINDS

interface Setup {
  kind: Kind
  outgoing: boolean
  /** The peer's entry says that it has the v2 hash. */
  known?: boolean
  metadata?: boolean
}

/** A connection, and a torrent it may attach to. */
class World {
  /** Hash and upgrade bit that we sent. */
  sent: [hash: string, upgrade: boolean] | null = null
  readonly ends: [number, Severity][] = []
  connects = 0
  decoderV2 = false
  protocolV2 = false
  disconnecting = false
  supportsExtended = false
  supportsFast = false
  pid = new Sha1Hash()
  readonly outgoing: boolean
  readonly ourPeerId = new Sha1Hash(new Uint8Array(20).fill(5))
  readonly dhtPort = { onHandshake() {}, afterBitfield() {} }
  readonly availability = { join() {} }
  readonly extensions = { writeHandshake() {} }
  readonly announcements = { writeBitfield() {} }
  readonly hashes = { maybeRequest: () => void this.askedForHashes++ }
  askedForHashes = 0
  entry: { protocolV2: boolean } | null
  host: typeof this.torrent | null
  readonly torrent: {
    infoHash: InfoHash
    geometry: { numPieces: number } | null
    ready: boolean
    numHave: number
    alert: () => void
    peerIdentified: () => null
    peerReady: () => void
  }
  readonly link = {
    decoder: {
      setFastSupported() {},
      setNumPieces() {},
      setProtocolV2: (on: boolean) => void (this.decoderV2 = on),
    },
    writeHandshake: (features: HandshakeFeatures, infoHash: Uint8Array) => {
      if (this.sent !== null) throw new Error('two handshakes')
      const bytes = encodeHandshake(features, infoHash, new Uint8Array(20))
      expect(readFeatures(bytes.subarray(20, 28))).toEqual({ ...features, extended: true, fast: true, dht: true })
      this.sent = [name(new Sha1Hash(infoHash)), features.v2Upgrade]
    },
  }
  readonly session = {
    attach: (_: unknown, hash: Sha1Hash) => {
      const { infoHash } = this.torrent
      const versions = [ProtocolVersion.V1, ProtocolVersion.V2].filter(version => infoHash.has(version))
      if (!versions.some(version => infoHash.get(version).equals(hash))) return libtorrentError(E.invalidInfoHash)
      this.entry = { protocolV2: false }
      return this.torrent
    },
  }
  readonly handshake: PeerHandshake
  log(): void {}

  constructor({ kind, outgoing, known = false, metadata = true }: Setup) {
    this.outgoing = outgoing
    this.torrent = {
      infoHash: KINDS[kind],
      geometry: metadata ? { numPieces: 3 } : null,
      ready: metadata,
      numHave: 0,
      alert: () => void this.connects++,
      peerIdentified: () => null,
      peerReady: () => {},
    }
    this.host = outgoing ? this.torrent : null
    this.handshake = new PeerHandshake(this as unknown as PeerConnection)
    // connections get their entry after they are made
    this.entry = outgoing ? { protocolV2: known } : null
    if (outgoing) this.handshake.write()
  }

  disconnect(error: ErrorCode, _operation: unknown, severity: Severity = Severity.normal): void {
    this.ends.push([error.value(), severity])
    this.disconnecting = true
  }

  /** The peer's handshake comes. */
  receive(hash: Sha1Hash, upgrade = false): this {
    const features = { extended: false, fast: false, dht: false, v2Upgrade: upgrade }
    const bytes = encodeHandshake(features, hash.view(), new Uint8Array(20))
    this.handshake.onInfoHash(bytes.subarray(20, 28), bytes.subarray(28, 48))
    if (!this.disconnecting) this.handshake.onPeerId(new Uint8Array(20).fill(8))
    return this
  }

  get outcome(): string {
    if (this.ends.length > 0) return 'closed'
    expect(this.decoderV2).toBe(this.protocolV2)
    expect(this.handshake.done).toBe(true)
    expect(name(this.handshake.infoHash)).toBe(this.protocolV2 ? 'v2' : 'v1')
    return this.protocolV2 ? 'v2' : 'v1'
  }
}

function name(hash: Sha1Hash): string {
  if (hash.equals(V1)) return 'v1'
  return hash.equals(CUT) ? 'v2' : hash.isAllZeros() ? 'zeros' : 'other'
}

describe('an outgoing connection', () => {
  // torrent, what is known of the peer, what we name, with the bit, the answer, what becomes of it
  test.each<[Kind, boolean, string, boolean, Sha1Hash, string]>([
    ['v1-only', false, 'v1', false, V1, 'v1'],
    ['v1-only', false, 'v1', false, CUT, 'closed'],
    ['v1-only', false, 'v1', false, OTHER, 'closed'],
    // what is known is of no use without the hash
    ['v1-only', true, 'v1', false, V1, 'v1'],
    ['v2-only', false, 'v2', false, CUT, 'v2'],
    ['v2-only', true, 'v2', false, CUT, 'v2'],
    ['v2-only', true, 'v2', false, V1, 'closed'],
    ['v2-only', true, 'v2', false, new Sha1Hash(), 'closed'],
    ['hybrid', false, 'v1', true, V1, 'v1'],
    ['hybrid', false, 'v1', true, CUT, 'v2'],
    ['hybrid', false, 'v1', true, OTHER, 'closed'],
    ['hybrid', true, 'v2', false, CUT, 'v2'],
    ['hybrid', true, 'v2', false, V1, 'closed'],
  ])('%s, v2 known %s: names %s, bit %s; answered %s it is %s', (kind, known, named, bit, answer, outcome) => {
    for (const theirBit of [false, true]) {
      const world = new World({ kind, outgoing: true, known })
      expect(world.sent).toEqual([named, bit])
      // the bit of an answer says nothing
      world.receive(answer, theirBit)
      expect(world.outcome).toBe(outcome)
      if (outcome === 'closed') expect(world.ends).toEqual([[E.invalidInfoHash, Severity.failure]])
      expect(world.entry!.protocolV2).toBe(known || outcome === 'v2')
    }
  })

  test('names one hash, though more is known of the peer meanwhile', () => {
    const world = new World({ kind: 'hybrid', outgoing: true })
    world.entry!.protocolV2 = true
    expect(name(world.handshake.infoHash)).toBe('v1')
    world.receive(V1)
    expect(world.outcome).toBe('v1')
    expect(world.entry!.protocolV2).toBe(true)
  })
})

describe('an incoming connection', () => {
  // torrent, what the peer names, with the bit, our answer, with the bit, what becomes of it
  test.each<[Kind, Sha1Hash, boolean, [string, boolean] | null, string]>([
    ['v1-only', V1, false, ['v1', false], 'v1'],
    ['v1-only', V1, true, null, 'closed'],
    ['v1-only', CUT, false, null, 'closed'],
    ['v2-only', CUT, false, ['v2', false], 'v2'],
    ['v2-only', CUT, true, ['v2', false], 'v2'],
    ['v2-only', V1, true, null, 'closed'],
    ['hybrid', V1, false, ['v1', true], 'v1'],
    ['hybrid', V1, true, ['v2', false], 'v2'],
    ['hybrid', CUT, false, ['v2', false], 'v2'],
    ['hybrid', CUT, true, ['v2', false], 'v2'],
    ['hybrid', OTHER, true, null, 'closed'],
  ])('%s, named %s with bit %s: answered %s it is %s', (kind, named, bit, answer, outcome) => {
    const world = new World({ kind, outgoing: false }).receive(named, bit)
    expect(world.sent).toEqual(answer)
    expect(world.outcome).toBe(outcome)
    if (outcome !== 'closed') expect(world.entry!.protocolV2).toBe(outcome === 'v2')
    expect(world.askedForHashes).toBe(outcome === 'closed' ? 0 : 1)
  })

  test('that claims v2 of a v1 torrent ends after it was one of the torrent, and is not blamed', () => {
    const world = new World({ kind: 'v1-only', outgoing: false }).receive(V1, true)
    expect(world.connects).toBe(1)
    expect(world.ends).toEqual([[E.invalidInfoHash, Severity.normal]])
  })

  test('for no torrent of ours is a failure', () => {
    const world = new World({ kind: 'hybrid', outgoing: false }).receive(OTHER)
    expect(world.ends).toEqual([[E.invalidInfoHash, Severity.failure]])
    expect(world.connects).toBe(0)
  })

  test('has no hash before the peer has named one', () => {
    const world = new World({ kind: 'hybrid', outgoing: false })
    expect(name(world.handshake.infoHash)).toBe('zeros')
    world.receive(V1, true)
    expect(name(world.handshake.infoHash)).toBe('v2')
  })
})

describe('before the metadata is known', () => {
  test('a peer with v2 is remembered as such: the torrent may turn out to be hybrid', () => {
    const world = new World({ kind: 'v1-only', outgoing: false, metadata: false }).receive(V1, true)
    expect(world.sent).toEqual(['v1', false])
    expect(world.outcome).toBe('v1')
    expect(world.entry!.protocolV2).toBe(true)
    world.torrent.infoHash = KINDS.hybrid
    world.handshake.metadataKnown()
    // we both named the v1 hash
    expect(world.outcome).toBe('v1')
  })

  test.each([true, false])('what was named as v1 may turn out to be the v2 hash, outgoing %s', outgoing => {
    for (const kind of ['v2-only', 'hybrid'] as const) {
      const world = new World({ kind: 'v1-only', outgoing: false, metadata: false })
      world.torrent.infoHash = new InfoHash(CUT)
      if (outgoing) world.host = world.torrent
      world.receive(CUT)
      expect(world.protocolV2).toBe(false)
      world.torrent.infoHash = KINDS[kind]
      world.handshake.metadataKnown()
      expect(world.outcome).toBe('v2')
      expect(world.entry?.protocolV2 ?? true).toBe(true)
    }
  })

  test('nothing changes for a peer that has not named the torrent yet', () => {
    const world = new World({ kind: 'v1-only', outgoing: true, metadata: false })
    world.torrent.infoHash = KINDS.hybrid
    world.handshake.metadataKnown()
    expect(world.protocolV2).toBe(false)
    world.receive(CUT)
    expect(world.outcome).toBe('v2')
  })
})
