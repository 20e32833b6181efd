/**
 * Writes `AddTorrentParams` as resume data, in libtorrent's format.
 *
 * Deviation: libtorrent 2.1 writes version 2 of it, with packed bits, which libtorrent 2.0 and the programs built on
 * it take for something else; it reads both. This writes version 1, a byte for each piece, which all of them read.
 */

import { bdecode } from '../bencode/bdecode.ts'
import { bencode } from '../bencode/bencode.ts'
import { type BencodeInput, type Entry, Preformatted } from '../bencode/entry.ts'
import type { Bitfield } from '../core/bitfield.ts'
import { concatBytes } from '../core/bytes.ts'
import { type Endpoint, endpointToCompact, isV6 } from '../core/endpoint.ts'
import { StorageMode, TorrentFlags } from '../core/enums.ts'
import type { AddTorrentParams } from './add-torrent-params.ts'
import { ANY_SIZE, exactEntry } from './exact-entry.ts'

/** The version of libtorrent whose format this is. */
const LIBTORRENT_VERSION = '2.1.0.0'
const MAX_TIER = 1024

/** Flags that are kept, by key. @internal */
export const FLAG_KEYS: readonly (readonly [key: string, flag: number])[] = [
  ['seed_mode', TorrentFlags.seedMode],
  ['upload_mode', TorrentFlags.uploadMode],
  ['share_mode', TorrentFlags.shareMode],
  ['apply_ip_filter', TorrentFlags.applyIpFilter],
  ['paused', TorrentFlags.paused],
  ['auto_managed', TorrentFlags.autoManaged],
  ['super_seeding', TorrentFlags.superSeeding],
  ['i2p', TorrentFlags.i2pTorrent],
  ['sequential_download', TorrentFlags.sequentialDownload],
  ['stop_when_ready', TorrentFlags.stopWhenReady],
  ['disable_dht', TorrentFlags.disableDht],
  ['disable_lsd', TorrentFlags.disableLsd],
  ['disable_pex', TorrentFlags.disablePex],
  ['disable_v1_hashes', TorrentFlags.disableV1Hashes],
]

/**
 * Files beyond those with a priority are not wanted. Only there if they are not: libtorrent knows nothing of it, and gets
 * all of them when a magnet link that selects some is resumed.
 *
 * @internal
 */
export const DONT_DOWNLOAD_KEY = 'default_dont_download'

type Dictionary = { [key: string]: BencodeInput }

/**
 * Resume data as plain values; strings are `Uint8Array`s, as `bdecode` gives them.
 *
 * To store it, {@link writeResumeDataBuf} is cheaper.
 */
export function writeResumeData(params: AddTorrentParams): Entry {
  const out = bdecode(writeResumeDataBuf(params), ANY_SIZE) as { [key: string]: Entry }
  if (params.ti !== null) out['info'] = exactEntry(params.ti.infoSection())
  return out
}

/** Resume data, bencoded: what to write to a file and give to `readResumeData` later. */
export function writeResumeDataBuf(params: AddTorrentParams): Uint8Array {
  const out: Dictionary = {
    'file-format': 'libtorrent resume file',
    'file-version': 1,
    'libtorrent-version': LIBTORRENT_VERSION,
    allocation: params.storageMode === StorageMode.storageModeAllocate ? 'allocate' : 'sparse',
    total_uploaded: params.totalUploaded,
    total_downloaded: params.totalDownloaded,
    active_time: params.activeTime,
    finished_time: params.finishedTime,
    seeding_time: params.seedingTime,
    last_seen_complete: params.lastSeenComplete,
    last_download: params.lastDownload,
    last_upload: params.lastUpload,
    num_complete: params.numComplete,
    num_incomplete: params.numIncomplete,
    num_downloaded: params.numDownloaded,
    added_time: params.addedTime,
    completed_time: params.completedTime,
    save_path: params.savePath,
    part_file_dir: params.partFileDir,
    root_certificate: params.rootCertificate,
    'info-hash': params.infoHashes.v1.view(),
    'info-hash2': params.infoHashes.v2.view(),
    trackers: trackerTiers(params.trackers, params.trackerTiers),
    // also when empty: the web seeds of the torrent may have been removed
    'url-list': params.urlSeeds,
    upload_rate_limit: params.uploadLimit,
    download_rate_limit: params.downloadLimit,
    max_connections: params.maxConnections,
    max_uploads: params.maxUploads,
  }
  for (const [key, flag] of FLAG_KEYS) out[key] = (params.flags & flag) === 0 ? 0 : 1
  if ((params.flags & TorrentFlags.defaultDontDownload) !== 0) out[DONT_DOWNLOAD_KEY] = 1
  if (params.name !== '') out['name'] = params.name
  if (params.ti !== null) out['info'] = new Preformatted(params.ti.infoSection())
  if (params.comment !== '') out['comment'] = params.comment
  if (params.creationDate !== 0) out['creation date'] = params.creationDate
  if (params.createdBy !== '') out['created by'] = params.createdBy
  addPieces(out, params)
  addFiles(out, params)
  addPeers(out, params.peers, 'peers')
  addPeers(out, params.bannedPeers, 'banned_peers')
  return bencode(out)
}

/**
 * Trackers grouped by tier.
 *
 * Deviation: libtorrent writes an empty string for a tier without trackers, which it then does not count when it reads
 * it; an empty list keeps the numbers of the tiers after it.
 *
 * @internal
 */
export function trackerTiers(trackers: readonly string[], tiers: readonly number[]): string[][] {
  const out: string[][] = []
  let tier = 0
  for (let i = 0; i < trackers.length; i++) {
    if (i < tiers.length) tier = Math.min(Math.max(tiers[i]!, 0), MAX_TIER)
    while (out.length <= tier) out.push([])
    out[tier]!.push(trackers[i]!)
  }
  return out
}

function addPieces(out: Dictionary, params: AddTorrentParams): void {
  const { haveBits, verifiedBits } = params
  if (!haveBits.empty()) out['pieces'] = pieceBytes(haveBits, verifiedBits)
  // which only libtorrent 2.1 knows, in either version of the format
  else if (!verifiedBits.noneSet()) out['verified'] = verifiedBits.data()
  if (params.piecePriorities.length > 0) out['piece_priority'] = Uint8Array.from(params.piecePriorities)
  if (params.unfinishedBits.size > 0) {
    const unfinished = [...params.unfinishedBits].sort((a, b) => a[0] - b[0])
    out['unfinished'] = unfinished.map(([piece, blocks]) => ({ piece, bitmask: blocks.data() }))
  }
  if (params.merkleTrees.length > 0) {
    out['trees'] = params.merkleTrees.map((hashes, i) => {
      const tree: Dictionary = { hashes }
      addBits(tree, 'verified', params.verifiedLeafHashes[i])
      addBits(tree, 'mask', params.merkleTreeMask[i])
      return tree
    })
  }
}

/** A byte for each piece: 1 if it is there, 2 more if seed mode has verified it. */
function pieceBytes(have: Bitfield, verified: Bitfield): Uint8Array {
  const out = new Uint8Array(have.size())
  const both = Math.min(verified.size(), out.length)
  for (let i = 0; i < out.length; i++) out[i] = have.getBit(i) ? 1 : 0
  for (let i = 0; i < both; i++) if (verified.getBit(i)) out[i]! |= 2
  return out
}

/** Bits of a merkle tree are text of zeros and ones. */
function addBits(out: Dictionary, key: string, bits: Bitfield | undefined): void {
  if (bits === undefined || bits.empty()) return
  const text = new Uint8Array(bits.size())
  for (let i = 0; i < text.length; i++) text[i] = bits.getBit(i) ? 0x31 : 0x30
  out[key] = text
}

function addFiles(out: Dictionary, params: AddTorrentParams): void {
  if (params.filePriorities.length > 0) out['file_priority'] = params.filePriorities
  const renamed = Object.entries(params.renamedFiles)
  if (renamed.length === 0) return
  const names: string[] = new Array(Math.max(...renamed.map(([index]) => Number(index))) + 1).fill('')
  for (const [index, name] of renamed) names[Number(index)] = name
  out['mapped_files'] = names
}

function addPeers(out: Dictionary, peers: readonly Endpoint[], key: string): void {
  if (peers.length === 0) return
  out[key] = concatBytes(peers.filter(peer => !isV6(peer[0])).map(endpointToCompact))
  out[`${key}6`] = concatBytes(peers.filter(peer => isV6(peer[0])).map(endpointToCompact))
}
