/** Writes what `CreateTorrent` has collected as a .torrent file. */

import { bencode } from '../bencode/bencode.ts'
import { type BencodeInput, Preformatted } from '../bencode/entry.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { bytesToBinary, textToBytes } from '../core/bytes.ts'
import { FileFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { type CreateFileEntry, pathElements } from './create-file-entry.ts'
import { CreateFlags } from './create-flags.ts'
import { HASH_SIZE, merklePad, merkleRoot } from './merkle.ts'

/** All parts of a new torrent. */
export interface TorrentParts {
  /** In final order, with pad files. */
  readonly files: readonly CreateFileEntry[]
  readonly name: string
  /** False for a torrent that is one file without a directory. */
  readonly multiFile: boolean
  readonly pieceLength: number
  /** `CreateFlags`. */
  readonly flags: number
  /** Goes in as it is, if there is one. */
  readonly infoSection: Uint8Array | null
  /** `null` to write no v1 metadata. */
  readonly v1Hashes: Uint8Array | null
  /** `null` to write no v2 metadata. */
  readonly v2Hashes: Uint8Array | null
  /** Index of the first hash of each file in `v2Hashes`. */
  readonly v2First: Float64Array | null
  /** Sorted by tier. */
  readonly trackers: readonly { readonly url: string; readonly tier: number }[]
  readonly nodes: readonly (readonly [host: string, port: number])[]
  readonly urlSeeds: readonly string[]
  readonly collections: readonly string[]
  readonly similar: readonly Uint8Array[]
  readonly comment: string
  readonly createdBy: string
  readonly creationDate: number
  readonly rootCertificate: string
  readonly isPrivate: boolean
}

interface Dictionary {
  [key: string]: BencodeInput
}

/** @throws LibtorrentError `torrentInconsistentFiles` */
export function encodeTorrent(parts: TorrentParts): Uint8Array {
  const roots = parts.v2Hashes === null ? null : fileRoots(parts)
  const torrent = dictionary()
  if (parts.trackers.length > 0) torrent['announce'] = parts.trackers[0]!.url
  if (parts.trackers.length > 1) torrent['announce-list'] = tiers(parts.trackers)
  if (parts.comment !== '') torrent['comment'] = parts.comment
  if (parts.createdBy !== '') torrent['created by'] = parts.createdBy
  if (parts.creationDate !== 0) torrent['creation date'] = parts.creationDate
  if (parts.nodes.length > 0) torrent['nodes'] = parts.nodes
  if (parts.urlSeeds.length > 0) torrent['url-list'] = parts.urlSeeds.length === 1 ? parts.urlSeeds[0]! : parts.urlSeeds
  if (roots !== null) torrent['piece layers'] = pieceLayers(parts, roots)
  torrent['info'] = parts.infoSection === null ? info(parts, roots) : new Preformatted(parts.infoSection)
  return bencode(torrent)
}

/** Without a prototype: file names are keys. */
function dictionary(): Dictionary {
  return Object.create(null) as Dictionary
}

function tiers(trackers: TorrentParts['trackers']): string[][] {
  const out: string[][] = []
  for (let i = 0; i < trackers.length; i++) {
    if (i === 0 || trackers[i]!.tier !== trackers[i - 1]!.tier) out.push([])
    out[out.length - 1]!.push(trackers[i]!.url)
  }
  return out
}

/** The merkle root of each file, empty for those that have none. */
function fileRoots(parts: TorrentParts): Uint8Array[] {
  const pad = merklePad(parts.pieceLength / BLOCK_SIZE, 1)
  return parts.files.map((_, i) => {
    const hashes = hashesOf(parts, i)
    return hashes.length === 0 ? hashes : merkleRoot(hashes, pad)
  })
}

function hashesOf(parts: TorrentParts, file: number): Uint8Array {
  return parts.v2Hashes!.subarray(parts.v2First![file]! * HASH_SIZE, parts.v2First![file + 1]! * HASH_SIZE)
}

/** Of files of one piece the root says it all. */
function pieceLayers(parts: TorrentParts, roots: readonly Uint8Array[]): Dictionary {
  const layers = dictionary()
  for (let i = 0; i < roots.length; i++) {
    const hashes = hashesOf(parts, i)
    if (hashes.length > HASH_SIZE) layers[bytesToBinary(roots[i]!)] = hashes
  }
  return layers
}

function info(parts: TorrentParts, roots: readonly Uint8Array[] | null): Dictionary {
  const out = dictionary()
  if (parts.collections.length > 0) out['collections'] = parts.collections
  if (parts.similar.length > 0) out['similar'] = parts.similar
  out['name'] = parts.name
  out['piece length'] = parts.pieceLength
  if (parts.rootCertificate !== '') out['ssl-cert'] = parts.rootCertificate
  if (parts.isPrivate) out['private'] = 1
  if (parts.v1Hashes !== null) {
    out['pieces'] = parts.v1Hashes
    if (parts.multiFile) out['files'] = parts.files.map(file => v1File(file, parts.flags))
    else addFile(out, parts.files[0]!, parts.flags)
  }
  if (roots !== null) {
    out['meta version'] = 2
    out['file tree'] = fileTree(parts, roots)
  }
  return out
}

function v1File(file: CreateFileEntry, flags: number): Dictionary {
  const out = dictionary()
  addFile(out, file, flags)
  // the first part is the name of the torrent
  out['path'] = pathElements(file.filename).slice(1)
  return out
}

function addFile(out: Dictionary, file: CreateFileEntry, flags: number): void {
  addAttributes(out, file, flags)
  out['length'] = file.size
}

/** @see BEP 47 */
function addAttributes(out: Dictionary, file: CreateFileEntry, flags: number): void {
  if ((flags & CreateFlags.modificationTime) !== 0 && file.mtime !== 0) out['mtime'] = file.mtime
  if (file.flags !== 0) {
    let attributes = ''
    if ((file.flags & FileFlags.flagPadFile) !== 0) attributes += 'p'
    if ((file.flags & FileFlags.flagHidden) !== 0) attributes += 'h'
    if ((file.flags & FileFlags.flagExecutable) !== 0) attributes += 'x'
    if (isLink(file, flags)) attributes += 'l'
    out['attr'] = attributes
  }
  if (isLink(file, flags)) out['symlink path'] = pathElements(file.symlink)
}

function isLink(file: CreateFileEntry, flags: number): boolean {
  return (flags & CreateFlags.symlinks) !== 0 && (file.flags & FileFlags.flagSymlink) !== 0
}

/** @see BEP 52 */
function fileTree(parts: TorrentParts, roots: readonly Uint8Array[]): Dictionary {
  const tree = dictionary()
  for (let i = 0; i < parts.files.length; i++) {
    const file = parts.files[i]!
    if ((file.flags & FileFlags.flagPadFile) !== 0) continue
    const elements = pathElements(file.filename)
    let node = tree
    for (let k = parts.multiFile ? 1 : 0; k < elements.length; k++) {
      const key = bytesToBinary(textToBytes(elements[k]!))
      let child = node[key] as Dictionary | undefined
      if (child === undefined) node[key] = child = dictionary()
      // an empty key marks a file, which cannot be a directory too
      if ('' in child) throw new LibtorrentError(libtorrentError(LibtorrentErrors.torrentInconsistentFiles))
      node = child
    }
    for (const _ in node) throw new LibtorrentError(libtorrentError(LibtorrentErrors.torrentInconsistentFiles))
    const entry = dictionary()
    addAttributes(entry, file, parts.flags)
    if (!isLink(file, parts.flags)) {
      entry['length'] = file.size
      if (file.size > 0) entry['pieces root'] = roots[i]!
    }
    node[''] = entry
  }
  return tree
}
