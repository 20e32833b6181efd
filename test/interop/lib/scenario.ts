/** Content to be transferred, the torrent of it, and whether it has arrived. */

import { join } from 'node:path'
import { expect } from 'vitest'
import { type Child, until } from './child.ts'
import { digests, MIB, type Shape, type Workspace, writeShape } from './files.ts'
import { makeTorrent, PIECE } from './make.ts'
import { type Opentracker, startOpentracker } from './opentracker.ts'
import { lib } from './ours.ts'

/** Files that begin and end within pieces, are empty, or have names beyond ASCII. */
export const MIXED: Shape = [
  ['a/first', 3 * MIB + 777],
  ['a/empty', 0],
  ['b/ünïcödé 日本語.bin', 2 * MIB],
  ['b/small', 5],
  ['last', MIB + 1],
]

export interface Content {
  readonly name: string
  /** What a seed has as its save path. */
  readonly parent: string
  readonly torrent: Uint8Array
  /** Hex of the v1 info-hash, or of the first 20 bytes of the v2 one. */
  readonly infoHash: string
  readonly files: Readonly<Record<string, string>>
}

/** @param flags of the torrent, by the names of lt_tool.py */
export async function makeContent(
  space: Workspace,
  name: string,
  shape: Shape,
  flags: readonly string[] = ['v1_only'],
  pieceSize: number = PIECE,
): Promise<Content> {
  const parent = space.dir('seed')
  writeShape(parent, name, shape)
  const torrent = await makeTorrent(join(parent, name), flags, { pieceSize })
  const hashes = lib.loadTorrentBuffer(torrent).ti!.infoHashes()
  const infoHash = (hashes.hasV1() ? hashes.v1.toString() : hashes.v2.toString()).slice(0, 40)
  return { name, parent, torrent, infoHash, files: digests(join(parent, name)) }
}

/** Writes the torrent, naming this tracker, to a file. */
export function torrentFile(space: Workspace, content: Content, tracker?: string): string {
  return space.file(`${content.infoHash}.torrent`, withTracker(content, tracker))
}

export function withTracker(content: Content, tracker?: string): Uint8Array {
  if (tracker === undefined) return content.torrent
  const params = lib.loadTorrentBuffer(content.torrent)
  params.trackers = [tracker]
  params.trackerTiers = [0]
  return lib.writeTorrentFileBuf(params)
}

/** A link that says no more than which torrent it is, by its v1 info-hash, its v2 info-hash, or both. */
export function linkTo(content: Content, which: 'v1' | 'v2' | 'both'): string {
  const { v1, v2 } = lib.loadTorrentBuffer(content.torrent).ti!.infoHashes()
  const topics = [...(which === 'v2' ? [] : [`urn:btih:${v1}`]), ...(which === 'v1' ? [] : [`urn:btmh:1220${v2}`])]
  return `magnet:?${topics.map(topic => `xt=${topic}`).join('&')}`
}

/** Everything there, every byte right. @param options files that the other client does not make */
export function expectArrived(content: Content, save: string, options: { emptyFiles?: boolean } = {}): void {
  const arrived = digests(join(save, content.name))
  const wanted = { ...content.files }
  if (options.emptyFiles === false) for (const map of [arrived, wanted]) dropEmpty(map)
  expect(arrived).toEqual(wanted)
}

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

function dropEmpty(files: Record<string, string>): void {
  for (const [path, digest] of Object.entries(files)) if (digest === EMPTY) delete files[path]
}

/** Until the tracker knows of a seed, or of a leech. */
export function announced(
  tracker: Opentracker,
  infoHash: string,
  who: 'seed' | 'leech',
  children: readonly Child[] = [],
): Promise<unknown> {
  const look = async () => (await countAt(tracker, infoHash, who === 'seed' ? 'complete' : 'incomplete')) > 0
  return until(`a ${who} at the tracker`, look, { children, timeoutMs: 40_000 })
}

async function countAt(tracker: Opentracker, infoHash: string, key: 'complete' | 'incomplete'): Promise<number> {
  const escaped = infoHash.replace(/../g, '%$&')
  const answer = await fetch(`${tracker.httpUrl.replace('/announce', '/scrape')}?info_hash=${escaped}`)
  const text = Buffer.from(await answer.arrayBuffer()).toString('latin1')
  return Number(new RegExp(`${key.length}:${key}i(\\d+)e`).exec(text)?.[1] ?? 0)
}

/** An opentracker that knows these torrents. */
export function trackerFor(contents: readonly Content[], address?: string): Promise<Opentracker> {
  const infoHashes = contents.map(content => content.infoHash)
  return startOpentracker(address === undefined ? { infoHashes } : { infoHashes, address })
}
