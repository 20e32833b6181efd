/** Reads resume data: what libtorrent 1.2 to 2.1 and programs on top of it (qBittorrent, Deluge) keep of a torrent. */

import { bdecodeNode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencode } from '../bencode/bencode.ts'
import type { Entry } from '../bencode/entry.ts'
import { Bitfield } from '../core/bitfield.ts'
import { bytesToText } from '../core/bytes.ts'
import { InfoHash, Sha1Hash, Sha256Hash } from '../core/digest.ts'
import { type Endpoint, endpointsFromCompact } from '../core/endpoint.ts'
import { DownloadPriority, StorageMode, TorrentFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { sha1, sha256 } from '../core/hash.ts'
import { isI2pUrl } from '../core/url.ts'
import { AddTorrentParams } from './add-torrent-params.ts'
import { type LoadTorrentLimits, withDefaultLimits } from './load-limits.ts'
import { DONT_DOWNLOAD_KEY, FLAG_KEYS } from './resume-write.ts'
import { TorrentInfo } from './torrent-info.ts'

/** The lists in the resume data replace those of the torrent: `override_trackers` and `override_web_seeds` of old. */
const OVERRIDE_TRACKERS = 1 << 11
const OVERRIDE_WEB_SEEDS = 1 << 12

const Type = BdecodeNode.Type

/**
 * Reads resume data.
 *
 * Keys that are missing or of the wrong type leave the default. Keys of programs on top of libtorrent, such as
 * `qBt-category`, are passed over: decode the file with `bdecode` to get at them.
 *
 * @param source bencoded bytes, or what `bdecode` or `bdecodeNode` made of them; not kept
 * @throws BdecodeError if it is not bencoded
 * @throws LibtorrentError `notADictionary`, `invalidFileTag`, `missingInfoHash`, `mismatchingInfoHash` (of the info
 *   dictionary inside), or what is wrong with the info dictionary
 */
export function readResumeData(source: Uint8Array | BdecodeNode | Entry, limits?: LoadTorrentLimits): AddTorrentParams {
  const full = withDefaultLimits(limits)
  let node: BdecodeNode
  if (source instanceof BdecodeNode) node = source
  else {
    const bytes = source instanceof Uint8Array ? source : bencode(source)
    node = bdecodeNode(bytes, { depth: full.maxDecodeDepth, tokens: full.maxDecodeTokens })
  }
  return new ResumeReader(node).read(full)
}

class ResumeReader {
  readonly #rd: BdecodeNode
  readonly #out = new AddTorrentParams()
  /** 1: a byte for each bit; 2: packed bits. */
  #version = 1

  constructor(rd: BdecodeNode) {
    this.#rd = rd
  }

  read(limits: Required<LoadTorrentLimits>): AddTorrentParams {
    const out = this.#out
    this.#readHeader()
    out.creationDate = this.#int('creation date')
    out.createdBy = this.#text('created by')
    out.comment = this.#text('comment')
    this.#readInfo(limits)
    this.#readTrees()
    this.#readNumbers()
    this.#readFlags()
    out.savePath = this.#text('save_path')
    out.partFileDir = this.#text('part_file_dir')
    out.rootCertificate = this.#text('root_certificate')
    this.#readFiles()
    this.#readTrackers()
    this.#readWebSeeds()
    this.#readPieces()
    out.peers = this.#peers('peers')
    out.bannedPeers = this.#peers('banned_peers')
    // it was just read, so there is nothing to save
    out.flags &= ~TorrentFlags.needSaveResume
    return out
  }

  #readHeader(): void {
    const rd = this.#rd
    const out = this.#out
    if (rd.type() !== Type.dictT) fail(LibtorrentErrors.notADictionary)
    const allocation = this.#text('allocation')
    if (allocation === 'allocate' || allocation === 'full') out.storageMode = StorageMode.storageModeAllocate
    if (this.#text('file-format') !== 'libtorrent resume file') fail(LibtorrentErrors.invalidFileTag)
    this.#version = this.#int('file-version', 1)
    if (this.#version !== 1 && this.#version !== 2) fail(LibtorrentErrors.invalidFileTag)
    const v1 = rd.dictFindStringValue('info-hash')
    const v2 = rd.dictFindStringValue('info-hash2')
    if (v1.length !== 20 && v2.length !== 32) fail(LibtorrentErrors.missingInfoHash)
    out.infoHashes = new InfoHash(
      v1.length === 20 ? new Sha1Hash(v1) : undefined,
      v2.length === 32 ? new Sha256Hash(v2) : undefined,
    )
    out.name = this.#text('name')
  }

  #readInfo(limits: Required<LoadTorrentLimits>): void {
    const info = this.#rd.dictFindDict('info')
    if (info.type() !== Type.dictT) return
    const out = this.#out
    const section = info.dataSection()
    const { v1, v2 } = out.infoHashes
    if (out.infoHashes.hasV1() && !v1.equals(new Sha1Hash(sha1(section)))) fail(LibtorrentErrors.mismatchingInfoHash)
    if (out.infoHashes.hasV2() && !v2.equals(new Sha256Hash(sha256(section))))
      fail(LibtorrentErrors.mismatchingInfoHash)
    out.ti = TorrentInfo.fromInfoSection(info, limits)
  }

  /** @see BEP 52 */
  #readTrees(): void {
    const trees = this.#rd.dictFindList('trees')
    if (trees.type() !== Type.listT) return
    const out = this.#out
    const count = trees.listSize()
    for (let i = 0; i < count; i++) {
      const tree = trees.listAt(i)
      if (tree.type() !== Type.dictT) break
      const hashes = tree.dictFindString('hashes')
      if (hashes.type() !== Type.stringT || hashes.stringLength() % 32 !== 0) break
      out.merkleTrees.push(hashes.stringValue().slice())
      out.verifiedLeafHashes.push(this.#bits(tree.dictFindStringValue('verified')))
      out.merkleTreeMask.push(this.#bits(tree.dictFindStringValue('mask')))
    }
  }

  /** Bits of a tree: packed, or in version 1 as text of zeros and ones. */
  #bits(bytes: Uint8Array): Bitfield {
    if (this.#version === 2) return packed(bytes)
    const out = new Bitfield(bytes.length)
    for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0x31) out.setBit(i)
    return out
  }

  #readNumbers(): void {
    const out = this.#out
    out.totalUploaded = this.#int('total_uploaded')
    out.totalDownloaded = this.#int('total_downloaded')
    out.activeTime = this.#int('active_time')
    out.finishedTime = this.#int('finished_time')
    out.seedingTime = this.#int('seeding_time')
    out.lastSeenComplete = this.#int('last_seen_complete')
    out.lastDownload = this.#int('last_download')
    out.lastUpload = this.#int('last_upload')
    out.numComplete = this.#int('num_complete', -1)
    out.numIncomplete = this.#int('num_incomplete', -1)
    out.numDownloaded = this.#int('num_downloaded', -1)
    out.maxUploads = this.#int('max_uploads', -1)
    out.maxConnections = this.#int('max_connections', -1)
    out.uploadLimit = this.#int('upload_rate_limit', -1)
    out.downloadLimit = this.#int('download_rate_limit', -1)
    out.addedTime = this.#int('added_time')
    out.completedTime = this.#int('completed_time')
  }

  #readFlags(): void {
    for (const [key, flag] of FLAG_KEYS) {
      const isDefault = (TorrentFlags.defaultFlags & flag) !== 0
      if (this.#int(key, isDefault ? 1 : 0) === 0) this.#out.flags &= ~flag
      else this.#out.flags |= flag
    }
    if (this.#int(DONT_DOWNLOAD_KEY) !== 0) this.#out.flags |= TorrentFlags.defaultDontDownload
  }

  #readFiles(): void {
    const out = this.#out
    const names = this.#rd.dictFindList('mapped_files')
    if (names.type() === Type.listT) {
      const count = names.listSize()
      for (let i = 0; i < count; i++) {
        const name = names.listStringValueAt(i)
        if (name.length > 0) out.renamedFiles[i] = bytesToText(name)
      }
    }
    const priorities = this.#rd.dictFindList('file_priority')
    if (priorities.type() !== Type.listT) return
    const count = priorities.listSize()
    for (let i = 0; i < count; i++) {
      const priority = clampPriority(priorities.listIntValueAt(i, DownloadPriority.defaultPriority))
      out.filePriorities.push(priority)
      // a seed has all files
      if (priority === DownloadPriority.dontDownload) out.flags &= ~TorrentFlags.seedMode
    }
  }

  #readTrackers(): void {
    const tiers = this.#rd.dictFindList('trackers')
    if (tiers.type() !== Type.listT) return
    const out = this.#out
    out.flags |= OVERRIDE_TRACKERS
    let tier = 0
    const count = tiers.listSize()
    for (let i = 0; i < count; i++) {
      const list = tiers.listAt(i)
      if (list.type() !== Type.listT) continue
      const trackers = list.listSize()
      for (let k = 0; k < trackers; k++) {
        const url = bytesToText(list.listStringValueAt(k))
        out.trackers.push(url)
        out.trackerTiers.push(tier)
        if (isI2pUrl(url)) out.flags |= TorrentFlags.i2pTorrent
      }
      tier++
    }
  }

  #readWebSeeds(): void {
    const urls = this.#rd.dictFindList('url-list')
    if (urls.type() !== Type.listT) return
    this.#out.flags |= OVERRIDE_WEB_SEEDS
    const count = urls.listSize()
    for (let i = 0; i < count; i++) {
      const url = urls.listStringValueAt(i)
      if (url.length > 0) this.#out.urlSeeds.push(bytesToText(url))
    }
  }

  #readPieces(): void {
    const out = this.#out
    const pieces = this.#rd.dictFindString('pieces')
    if (pieces.type() === Type.stringT) {
      const bytes = pieces.stringValue()
      if (this.#version === 2) out.haveBits = packed(bytes)
      else {
        out.haveBits = new Bitfield(bytes.length)
        const verified = new Bitfield(bytes.length)
        for (let i = 0; i < bytes.length; i++) {
          if ((bytes[i]! & 1) !== 0) out.haveBits.setBit(i)
          if ((bytes[i]! & 2) !== 0) verified.setBit(i)
        }
        if (!verified.noneSet()) out.verifiedBits = verified
      }
    }
    const verified = this.#rd.dictFindString('verified')
    if (verified.type() === Type.stringT) out.verifiedBits = packed(verified.stringValue())
    const priorities = this.#rd.dictFindStringValue('piece_priority')
    out.piecePriorities = Array.from(priorities, clampPriority)
    const unfinished = this.#rd.dictFindList('unfinished')
    if (unfinished.type() !== Type.listT) return
    const count = unfinished.listSize()
    for (let i = 0; i < count; i++) {
      const entry = unfinished.listAt(i)
      if (entry.type() !== Type.dictT) continue
      const piece = entry.dictFindIntValue('piece', -1)
      const bitmask = entry.dictFindStringValue('bitmask')
      if (piece >= 0 && bitmask.length > 0) out.unfinishedBits.set(piece, packed(bitmask))
    }
  }

  #peers(key: string): Endpoint[] {
    const v4 = endpointsFromCompact(this.#rd.dictFindStringValue(key), 4)
    return v4.concat(endpointsFromCompact(this.#rd.dictFindStringValue(`${key}6`), 16))
  }

  #int(key: string, missing = 0): number {
    return this.#rd.dictFindIntValue(key, missing)
  }

  #text(key: string): string {
    return bytesToText(this.#rd.dictFindStringValue(key))
  }
}

function fail(error: LibtorrentErrors): never {
  throw new LibtorrentError(libtorrentError(error))
}

/** How many there are is not known: as many as fit the bytes. */
function packed(bytes: Uint8Array): Bitfield {
  return new Bitfield(bytes, bytes.length * 8)
}

/** Only the lowest byte counts, as in libtorrent. */
function clampPriority(value: number): number {
  return Math.min(value & 0xff, DownloadPriority.topPriority)
}
