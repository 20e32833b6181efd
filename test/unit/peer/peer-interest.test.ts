import { expect, test } from 'vitest'
import { LibtorrentErrors as E } from '../../../src/core/error-table.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { PeerInterest } from '../../../src/peer/peer-interest.ts'

const USELESS = {
  uploadOnly: true,
  amInterested: false,
  inHandshake: false,
  bitfieldReceived: true,
  weUploadOnly: false,
  ready: true,
  allowed: true,
  metadata: true,
}

/** The number of the error with which a connection is closed; `null`: it is kept. */
function closedWith(state: Partial<typeof USELESS>): number | null {
  const { uploadOnly, amInterested, inHandshake, bitfieldReceived, ...rest } = { ...USELESS, ...state }
  let error: number | null = null
  const peer = {
    disconnecting: false,
    uploadOnly,
    amInterested,
    inHandshake,
    availability: { bitfieldReceived },
    host: { uploadOnly: rest.weUploadOnly, ready: rest.ready, geometry: rest.metadata ? {} : null },
    session: { settings: { closeRedundantConnections: rest.allowed } },
    log() {},
    disconnect: (code: { value(): number }) => void (error = code.value()),
  }
  const closed = new PeerInterest(peer as unknown as PeerConnection, 0).disconnectIfRedundant()
  expect(closed).toBe(error !== null)
  return error
}

test('a peer that only uploads and has nothing that we want is let go', () => {
  expect(closedWith({})).toBe(E.uninterestingUploadPeer)
})

test('two that only upload have nothing to say to each other', () => {
  expect(closedWith({ weUploadOnly: true })).toBe(E.uploadUploadConnection)
  expect(closedWith({ weUploadOnly: true, bitfieldReceived: false })).toBe(E.uploadUploadConnection)
})

test.each([
  [{ uploadOnly: false }],
  [{ amInterested: true }],
  [{ inHandshake: true }],
  [{ bitfieldReceived: false }],
  [{ ready: false }],
  [{ ready: false, weUploadOnly: true }],
  [{ allowed: false, weUploadOnly: true }],
  [{ metadata: false }],
])('%o: it is kept', state => {
  expect(closedWith(state)).toBeNull()
})
