/** What simulations of v2 torrents share: ways to know less of one, and peers that know all of its hashes. */

import { BLOCK_SIZE } from '../../../src/core/brands.ts'
import { sha256 } from '../../../src/core/hash.ts'
import type { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { TorrentInfo } from '../../../src/metainfo/torrent-info.ts'
import type { PeerConnection } from '../../../src/peer/peer-connection.ts'
import { HashTrees } from '../../../src/torrent/hash-trees.ts'
import type { Torrent } from '../../../src/torrent/torrent.ts'
import { type HashRequest, readHashRequest } from '../../../src/wire/hash-messages.ts'
import type { FakePeer } from './fake-peer.ts'
import type { SimTorrent, SwarmNode } from './swarm.ts'

/** Messages of the hash exchange. */
export const HASH_REQUEST = 21
export const HASHES = 22
export const HASH_REJECT = 23

/** Only the info dictionary is known, as after a magnet link. */
export function withoutLayers(params: AddTorrentParams): void {
  params.ti = TorrentInfo.fromInfoSection(params.ti!.infoSection())
  params.merkleTrees = []
  params.merkleTreeMask = []
  params.verifiedLeafHashes = []
}

/** Nothing but the info hashes is known. */
export function asMagnet(params: AddTorrentParams): void {
  withoutLayers(params)
  params.infoHashes = params.ti!.infoHashes()
  params.ti = null
}

export function torrentOf(node: SwarmNode): Torrent {
  return node.engine.registry.find(node.handle.infoHashes())!
}

export function connectionsOf(node: SwarmNode): readonly PeerConnection[] {
  return torrentOf(node).swarm.connections
}

/** The whole merkle tree of a file, root first. */
export function wholeTree(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return new Uint8Array(0)
  let layer: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += BLOCK_SIZE) layer.push(sha256(bytes.subarray(at, at + BLOCK_SIZE)))
  while ((layer.length & (layer.length - 1)) !== 0) layer.push(new Uint8Array(32))
  const layers = [layer]
  while (layer.length > 1) {
    const above: Uint8Array[] = []
    for (let i = 0; i < layer.length; i += 2) above.push(sha256(Buffer.concat([layer[i]!, layer[i + 1]!])))
    layers.unshift(above)
    layer = above
  }
  return new Uint8Array(Buffer.concat(layers.flat()))
}

/** The whole trees of all files. */
export function wholeTrees(torrent: SimTorrent): Uint8Array[] {
  const layout = loadTorrentBuffer(torrent.file).ti!.layout()
  return Array.from({ length: layout.numFiles() }, (_, f) => {
    const at = layout.fileOffset(f)
    return layout.padFileAt(f) ? new Uint8Array(0) : wholeTree(torrent.content.subarray(at, at + layout.fileSize(f)))
  })
}

/** Knows every hash of a torrent. */
export class AllHashes {
  readonly trees: HashTrees

  constructor(torrent: SimTorrent) {
    this.trees = new HashTrees(loadTorrentBuffer(torrent.file).ti!.layout())
    this.trees.load(wholeTrees(torrent), [])
  }

  /** The right answer. */
  answer(request: HashRequest): Uint8Array {
    return this.trees.getHashes(this.trees.fileOfRoot(request.root), request)!
  }
}

/** A request as it came, with the 48 bytes that an answer begins with. */
export interface ArrivedRequest extends HashRequest {
  readonly head: Uint8Array
}

/** Calls `answer` for each hash request that a peer is sent, after what it does with other messages. */
export function onHashRequest(peer: FakePeer, answer: (request: ArrivedRequest) => void): void {
  const before = peer.onMessage
  peer.onMessage = message => {
    before(message)
    if (message.id === HASH_REQUEST) answer({ ...readHashRequest(message.payload, 0), head: message.payload })
  }
}

/** Answers hash requests as it should. */
export function answerHashes(peer: FakePeer, hashes: AllHashes): void {
  onHashRequest(peer, request => peer.send(HASHES, request.head, hashes.answer(request)))
}

/** Rejects every hash request. */
export function rejectHashes(peer: FakePeer): void {
  onHashRequest(peer, ({ head }) => peer.send(HASH_REJECT, head))
}
