/** Torrents of files with given content, so that several can have one in common. */

import { Sha1Hash } from '../../../src/core/digest.ts'
import { FileFlags, ProtocolVersion } from '../../../src/core/enums.ts'
import { sha1 } from '../../../src/core/hash.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { CreateFileEntry } from '../../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { type SimTorrent, setV2Hashes } from './swarm.ts'

export interface SharedOptions {
  readonly pieceLength?: number
  /** `CreateFlags`; v2 only if absent. */
  readonly flags?: number
  readonly similar?: readonly Sha1Hash[]
  readonly collections?: readonly string[]
}

/** Content that a seed stands for. */
export function fileBytes(size: number, seed: number): Uint8Array {
  const out = new Uint8Array(size)
  new SeededRng(seed).fill(out)
  return out
}

/** @param files by name */
export function torrentOf(
  name: string,
  files: Readonly<Record<string, Uint8Array>>,
  options: SharedOptions = {},
): SimTorrent {
  const { pieceLength = 65536, flags = CreateFlags.v2Only } = options
  const entries = Object.entries(files).map(([file, bytes]) => new CreateFileEntry(`${name}/${file}`, bytes.length))
  const creator = new CreateTorrent(entries, pieceLength, flags)
  for (const hash of options.similar ?? []) creator.addSimilarTorrent(hash)
  for (const collection of options.collections ?? []) creator.addCollection(collection)
  const content = new Uint8Array(creator.totalSize())
  let offset = 0
  for (const [f, { filename, size, flags: kind }] of creator.fileList().entries()) {
    const bytes = (kind & FileFlags.flagPadFile) === 0 ? files[filename.slice(name.length + 1)]! : new Uint8Array(0)
    content.set(bytes, offset)
    offset += size
    if ((flags & CreateFlags.v1Only) === 0) setV2Hashes(creator, f, bytes, pieceLength)
  }
  if ((flags & CreateFlags.v2Only) === 0) {
    for (let piece = 0; piece < creator.numPieces(); piece++) {
      const at = piece * pieceLength
      creator.setHash(piece, new Sha1Hash(sha1(content.subarray(at, at + creator.pieceSize(piece)))))
    }
  }
  const file = creator.generateBuf()
  const hashes = loadTorrentBuffer(file).ti!.infoHashes()
  const infoHash = hashes.hasV1() ? hashes.v1 : (hashes.get(ProtocolVersion.V2) as Sha1Hash)
  return { content, pieceLength, file, infoHash }
}
