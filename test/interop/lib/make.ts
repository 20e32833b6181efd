/** Torrents of each kind and shape, made by us. */

import { dirname } from 'node:path'
import { BLOCK, KIB, type Shape } from './files.ts'
import { lib } from './ours.ts'

export const PIECE = 64 * KIB

export const SHAPES: Readonly<Record<string, Shape>> = {
  'one file': [['', 3 * PIECE + 12345]],
  'one byte': [['', 1]],
  'one block': [['', BLOCK]],
  'one piece': [['', PIECE]],
  'whole pieces': [['', 4 * PIECE]],
  'one file more than a power of two of pieces': [['', 5 * PIECE + BLOCK]],
  'many files': [
    ['a/one piece', PIECE],
    ['a/one block', BLOCK],
    ['a/b/c/deep', 3 * PIECE + 1],
    ['a/empty', 0],
    ['names/ünïcödé.txt', 1000],
    ['names/日本語/ファイル', 2 * PIECE],
    ['names/emoji 🎈', BLOCK + 1],
    ['one less than a piece', PIECE - 1],
    ['z empty', 0],
  ],
  'a directory with one file': [['only/file', PIECE + 5]],
  'small files': Array.from({ length: 200 }, (_, i) => [`f${String(i).padStart(3, '0')}`, (i * 397) % 5000] as const),
}

/** The flags of each kind, by the names of lt_tool.py. */
export const KINDS: Readonly<Record<string, readonly string[]>> = {
  v1: ['v1_only'],
  'v1 with pad files': ['v1_only', 'canonical_files'],
  v2: ['v2_only'],
  hybrid: [],
}

export const FLAGS: Readonly<Record<string, number>> = {
  v1_only: lib.CreateTorrent.v1Only,
  v2_only: lib.CreateTorrent.v2Only,
  canonical_files: lib.CreateTorrent.canonicalFiles,
  symlinks: lib.CreateTorrent.symlinks,
  modification_time: lib.CreateTorrent.modificationTime,
}

export interface MakeOptions {
  readonly trackers?: readonly (readonly [url: string, tier: number])[]
  readonly webSeed?: string
  readonly node?: readonly [host: string, port: number]
  readonly comment?: string
  readonly creator?: string
  readonly pieceSize?: number
}

/** @param path file or directory */
export async function makeTorrent(
  path: string,
  flags: readonly string[],
  options: MakeOptions = {},
): Promise<Uint8Array> {
  const bits = flags.reduce((all, flag) => all | FLAGS[flag]!, 0)
  const torrent = new lib.CreateTorrent(sortedFiles(path, bits), options.pieceSize ?? PIECE, bits)
  for (const [url, tier] of options.trackers ?? []) torrent.addTracker(url, tier)
  if (options.webSeed !== undefined) torrent.addUrlSeed(options.webSeed)
  if (options.node !== undefined) torrent.addNode(...options.node)
  if (options.comment !== undefined) torrent.setComment(options.comment)
  if (options.creator !== undefined) torrent.setCreator(options.creator)
  await lib.setPieceHashes(torrent, dirname(path))
  return torrent.generateBuf()
}

/** The order in which directories are listed is up to the file system. */
export function sortedFiles(path: string, flags: number): ReturnType<typeof lib.listFiles> {
  return lib.listFiles(path, flags).sort((a, b) => (a.filename < b.filename ? -1 : 1))
}
