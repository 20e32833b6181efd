/** The `info` dictionary of a torrent, of any version, into a record (BEP 3, 30, 47, 52). */

import {
  TOKEN_DICT,
  TOKEN_END,
  TOKEN_INTEGER,
  TOKEN_LIST,
  TOKEN_STRING,
  type TokenTable,
} from '../bencode/token-table.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { bytesToHex, compareBytes } from '../core/bytes.ts'
import { InfoHash, Sha1Hash, Sha256Hash } from '../core/digest.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { sha1, sha256 } from '../core/hash.ts'
import { FileStorage } from './file-storage.ts'
import { filesCompatible } from './files-compatible.ts'
import type { LoadTorrentLimits } from './load-limits.ts'
import { failLoad } from './parse-file-entry.ts'
import { FileListV1, parseSingleFileV1 } from './parse-files-v1.ts'
import { FileTreeV2 } from './parse-files-v2.ts'
import { sanitizeElement } from './sanitize-path.ts'
import { sanitizeSymlinks } from './sanitize-symlinks.ts'

const SHA1_SIZE = 20

/** What an info dictionary says. Offsets are into `section`. */
export interface InfoRecord {
  /** The bencoded dictionary: a copy that nothing else refers to. */
  readonly section: Uint8Array
  readonly infoHashes: InfoHash
  readonly files: FileStorage
  /** Where the SHA-1 hashes of the pieces start, -1 if there are none. */
  readonly pieceHashesAt: number
  readonly isPrivate: boolean
  readonly multiFile: boolean
  /** Info-hashes of torrents that share files with this one. @see BEP 38 */
  readonly similar: readonly Sha1Hash[]
  readonly collections: readonly Uint8Array[]
  /** PEM of the certificate that peers of an SSL torrent are signed by, `null` if it is none. */
  readonly sslCert: Uint8Array | null
}

/**
 * @param info token of the dictionary
 * @throws LibtorrentError
 */
export function parseInfo(t: TokenTable, info: number, limits: Required<LoadTorrentLimits>): InfoRecord {
  if (t.kind(info) !== TOKEN_DICT) failLoad(LibtorrentErrors.torrentInfoNoDict)
  const infoOffset = t.offset(info)
  const section = t.buffer.slice(infoOffset, t.end(info))
  const version = Math.trunc(t.findInt(info, 'meta version', -1))
  if (version > 0) {
    if (hasSoftError(t, info)) failLoad(LibtorrentErrors.invalidBencoding)
    if (version > 2) failLoad(LibtorrentErrors.torrentUnknownVersion)
  }
  const pieceLength = readPieceLength(t, info, version)
  const infoHashes = new InfoHash(new Sha1Hash(sha1(section)))
  if (version >= 2) infoHashes.v2 = new Sha256Hash(sha256(section))

  const name = readName(t, info, infoHashes)
  const files = new FileStorage()
  files.setPieceLength(pieceLength)
  files.borrowFrom(section)
  const listed = t.findKind(info, 'files', TOKEN_LIST)
  const tree = t.findKind(info, 'file tree', TOKEN_DICT)
  let multiFile = false
  if (version >= 2) {
    if (tree < 0) failLoad(LibtorrentErrors.torrentMissingFileTree)
    new FileTreeV2(t, infoOffset, files, name, limits.maxDirectoryDepth).read(tree, listed >= 0)
    sanitizeSymlinks(files)
    multiFile = files.numFiles() > 1
  } else if (tree >= 0) {
    failLoad(LibtorrentErrors.torrentMissingMetaVersion)
  }

  let v1Files = files
  if (version >= 2) {
    v1Files = new FileStorage()
    v1Files.setPieceLength(pieceLength)
    v1Files.borrowFrom(section)
  }
  if (listed >= 0) {
    new FileListV1(t, infoOffset, v1Files, name, limits.maxDirectoryDepth).read(listed)
    sanitizeSymlinks(v1Files)
    multiFile = true
  } else if (version < 2 || t.find(info, 'length') >= 0) {
    parseSingleFileV1(t, info, v1Files, limits.maxDirectoryDepth)
    multiFile = false
  } else {
    infoHashes.v1 = new Sha1Hash()
  }

  if (files.numFiles() === 0) failLoad(LibtorrentErrors.noFilesInTorrent)
  if (files.name() === '') failLoad(LibtorrentErrors.torrentMissingName)
  if (version >= 2 && v1Files.numFiles() > 0) {
    if (files.numFiles() === v1Files.numFiles() + 1) files.removeTailPadding()
    if (!filesCompatible(files, v1Files)) failLoad(LibtorrentErrors.torrentInconsistentFiles)
  }
  const pieceHashesAt = readPieces(t, info, infoOffset, version, files, limits.maxPieces)
  if (files.totalSize() === 0) failLoad(LibtorrentErrors.torrentInvalidLength)

  const cert = t.findKind(info, 'ssl-cert', TOKEN_STRING)
  return {
    section,
    infoHashes,
    files: files.seal(),
    pieceHashesAt,
    isPrivate: t.findInt(info, 'private', 0) !== 0,
    multiFile,
    similar: readSimilar(t, info),
    collections: readCollections(t, info),
    sslCert: cert < 0 ? null : t.string(cert).slice(),
  }
}

/** Info-hashes under `similar`; entries of another type or length are passed over. */
export function readSimilar(t: TokenTable, dict: number): Sha1Hash[] {
  const out: Sha1Hash[] = []
  const list = t.findKind(dict, 'similar', TOKEN_LIST)
  if (list < 0) return out
  for (let i = list + 1; t.kind(i) !== TOKEN_END; i = t.next(i)) {
    if (t.kind(i) === TOKEN_STRING && t.stringLength(i) === SHA1_SIZE) out.push(new Sha1Hash(t.string(i)))
  }
  return out
}

/** Names under `collections`, as copies; entries of another type are passed over. */
export function readCollections(t: TokenTable, dict: number): Uint8Array[] {
  const out: Uint8Array[] = []
  const list = t.findKind(dict, 'collections', TOKEN_LIST)
  if (list < 0) return out
  for (let i = list + 1; t.kind(i) !== TOKEN_END; i = t.next(i)) {
    if (t.kind(i) === TOKEN_STRING) out.push(t.string(i).slice())
  }
  return out
}

function readPieceLength(t: TokenTable, info: number, version: number): number {
  const length = t.findInt(info, 'piece length', -1)
  if (length <= 0 || length > FileStorage.maxPieceSize) failLoad(LibtorrentErrors.torrentMissingPieceLength)
  if (version > 1 && (length < BLOCK_SIZE || (length & (length - 1)) !== 0)) {
    failLoad(LibtorrentErrors.torrentMissingPieceLength)
  }
  return length
}

/** The name of the torrent; one that is not usable gives way to the info-hash. */
function readName(t: TokenTable, info: number, infoHashes: InfoHash): string {
  let name = t.findKind(info, 'name.utf-8', TOKEN_STRING)
  if (name < 0) name = t.findKind(info, 'name', TOKEN_STRING)
  if (name < 0) failLoad(LibtorrentErrors.torrentMissingName)
  const clean = sanitizeElement(t.buffer, t.stringStart(name), t.stringEnd(name), false)
  return clean === null || clean === '' ? bytesToHex(infoHashes.v1.view()) : clean
}

/** Sets the number of pieces. @returns where in the info section their hashes are, -1 if there are none */
function readPieces(
  t: TokenTable,
  info: number,
  infoOffset: number,
  version: number,
  files: FileStorage,
  maxPieces: number,
): number {
  const count = Math.ceil(files.totalSize() / files.pieceLength())
  // hashes of all pieces must fit 2 GiB
  if (count > FileStorage.maxNumPieces || count >= Math.floor(0x7fffffff / SHA1_SIZE) || count > maxPieces) {
    failLoad(LibtorrentErrors.tooManyPiecesInTorrent)
  }
  files.setNumPieces(count)
  const pieces = t.findKind(info, 'pieces', TOKEN_STRING)
  if (pieces < 0) {
    if (version < 2) failLoad(LibtorrentErrors.torrentMissingPieces)
    return -1
  }
  if (t.stringLength(pieces) !== count * SHA1_SIZE) failLoad(LibtorrentErrors.torrentInvalidHashes)
  return t.stringStart(pieces) - infoOffset
}

/**
 * Whether a value has what the decoder tolerates but v2 forbids, so that equal content could have several
 * info-hashes: leading zeros, and keys that are not sorted or there twice. @see BEP 52
 */
export function hasSoftError(t: TokenTable, root: number): boolean {
  const end = t.next(root)
  const b = t.buffer
  for (let i = root; i < end; i++) {
    const at = t.offset(i)
    switch (t.kind(i)) {
      case TOKEN_INTEGER:
        if (b[at + 1] === 0x30 && b[at + 2] !== 0x65) return true
        break
      case TOKEN_STRING:
        if (b[at] === 0x30 && b[at + 1] !== 0x3a) return true
        break
      case TOKEN_DICT:
        if (!keysAreSorted(t, i)) return true
    }
  }
  return false
}

function keysAreSorted(t: TokenTable, dict: number): boolean {
  let previous = -1
  for (let key = dict + 1; t.kind(key) !== TOKEN_END; key = t.next(key + 1)) {
    if (previous >= 0 && compareBytes(t.string(previous), t.string(key)) >= 0) return false
    previous = key
  }
  return true
}
