/**
 * The info dictionary of a torrent: if it was added without it, whether what came is it; and what the torrent becomes by
 * it.
 *
 * @see BEP 9
 */

import { MetadataFailedAlert, MetadataReceivedAlert, TorrentConflictAlert } from '../alert/torrent-alerts.ts'
import { bytesEqual } from '../core/bytes.ts'
import type { InfoHash } from '../core/digest.ts'
import { TorrentFlags } from '../core/enums.ts'
import { type ErrorCode, LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { sha1, sha256 } from '../core/hash.ts'
import { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { resolveDuplicateFilenames } from '../metainfo/duplicate-filenames.ts'
import { withDefaultLimits } from '../metainfo/load-limits.ts'
import { TorrentInfo } from '../metainfo/torrent-info.ts'
import * as C from '../stats/counter-ids.ts'
import { Content } from './content.ts'
import { HashTrees } from './hash-trees.ts'
import { MetadataDownload, type MetadataVerdict } from './metadata-download.ts'
import { PieceEvents } from './piece-events.ts'
import { SeedMode } from './seed-mode.ts'
import type { Torrent } from './torrent.ts'
import { TorrentHashes } from './torrent-hashes.ts'
import { logTorrent } from './torrent-log.ts'
import { TorrentStatus } from './torrent-status.ts'

/** An info dictionary may be nested so deep. */
const MAX_DEPTH = 200

export class TorrentMetadata {
  readonly #torrent: Torrent
  /** While it is not known. */
  download: MetadataDownload | null
  /** Until the torrent has `content`, which keeps it from then on. */
  info: TorrentInfo | null = null

  constructor(torrent: Torrent, known: boolean) {
    this.#torrent = torrent
    const { env } = torrent
    this.download = known
      ? null
      : new MetadataDownload({
          now: () => env.turn.now,
          maxSize: () => env.settings.maxMetadataSize,
          complete: metadata => this.set(metadata),
          ban: ref => this.#ban(ref),
        })
  }

  #ban(ref: number): void {
    const { swarm } = this.#torrent
    const entry = swarm.entry(ref)
    if (entry === undefined) return
    swarm.ban(entry)
    entry.connection?.disconnect(libtorrentError(LibtorrentErrors.peerBanned), Operation.bittorrent)
  }

  /**
   * Takes over an info dictionary.
   *
   * @param metadata bencoded; it is kept
   */
  set(metadata: Uint8Array): MetadataVerdict {
    const torrent = this.#torrent
    const { alerts, counters, registry } = torrent.env
    if (torrent.info !== null || torrent.aborted) return 'unusable'
    if (!hasHash(metadata, torrent.infoHashes)) {
      this.#failed(libtorrentError(LibtorrentErrors.mismatchingInfoHash))
      return 'mismatch'
    }
    this.download = null
    const info = this.#parse(metadata)
    if (info === null) return 'unusable'
    const other = registry.conflicting(torrent, info.infoHashes())
    if (other !== null) {
      // neither can go on: a hash names one torrent only
      for (const each of [other, torrent]) {
        each.errors.set(libtorrentError(LibtorrentErrors.duplicateTorrent), TorrentStatus.errorFileMetadata)
        each.pause(false)
      }
      if (alerts.wants(TorrentConflictAlert)) alerts.post(new TorrentConflictAlert(torrent, other.handle, info))
      return 'unusable'
    }
    registry.updateInfoHash(torrent, info.infoHashes())
    counters.inc(C.SES_NUM_TOTAL_PIECES_ADDED, info.numPieces())
    this.#known(info)
    torrent.needSave.metadata()
    return 'taken'
  }

  #known(info: TorrentInfo): void {
    const torrent = this.#torrent
    const { alerts } = torrent.env
    this.info = info
    if (alerts.wants(MetadataReceivedAlert)) alerts.post(new MetadataReceivedAlert(torrent))
    this.attach(info)
    if (torrent.content === null) return
    for (const peer of torrent.swarm.connections.slice()) peer.metadataKnown()
    torrent.stateUpdated()
    torrent.listsChanged()
  }

  /** The torrent gets its pieces and its storage, and the files are looked at. Called once. */
  attach(info: TorrentInfo): void {
    const torrent = this.#torrent
    const params = torrent.added!
    const { env } = torrent
    this.info = info
    logTorrent(torrent, () => `init torrent: ${info.name()}`)
    if (info.priv()) torrent.swarm.forgetPublicPeers()
    if (info.numPieces() === 0) {
      torrent.errors.set(libtorrentError(LibtorrentErrors.torrentInvalidLength), TorrentStatus.errorFileNone)
      torrent.pause(false)
      return
    }
    const v1Disabled = info.v2() && (params.flags & TorrentFlags.disableV1Hashes) !== 0
    if (!v1Disabled) torrent.otherFlags &= ~TorrentFlags.disableV1Hashes
    const priorities = params.filePriorities.slice(0, info.numFiles())
    if (params.flags & TorrentFlags.defaultDontDownload) {
      while (priorities.length < info.numFiles()) priorities.push(0)
    }
    const trees = info.v2() ? treesOf(info, params) : null
    const content = new Content(
      info,
      trees,
      !v1Disabled,
      priorities,
      new PieceEvents(torrent),
      env.disk,
      env.turn,
      env.rng,
      env.pickerLoops,
    )
    torrent.content = content
    torrent.hashes = trees === null ? null : new TorrentHashes(torrent, content, trees)
    this.info = null
    torrent.files.openStorage(content)
    // what the user sets while the files are looked at comes after what it was added with
    if (params.piecePriorities.length > 0) content.setPiecePriorities(params.piecePriorities)
    if (!mayBeSeed(params, info)) params.flags &= ~TorrentFlags.seedMode
    if (params.flags & TorrentFlags.seedMode) {
      torrent.seedMode = new SeedMode(torrent, info.numPieces(), params.verifiedBits)
      content.haveAll = true
    } else if (params.piecePriorities.length > 0) torrent.needPicker()
    torrent.setState({ kind: 'checkingResume' })
    torrent.checker.checkResume(params)
  }

  #failed(error: ErrorCode): void {
    const { alerts } = this.#torrent.env
    if (alerts.wants(MetadataFailedAlert)) alerts.post(new MetadataFailedAlert(this.#torrent, error))
  }

  /** @returns `null` if it is no torrent, though it has the hash: the link itself names something broken */
  #parse(metadata: Uint8Array): TorrentInfo | null {
    const torrent = this.#torrent
    const { settings } = torrent.env
    const limits = withDefaultLimits({
      maxBufferSize: metadata.length,
      maxDecodeDepth: MAX_DEPTH,
      maxDecodeTokens: settings.metadataTokenLimit,
      maxPieces: settings.maxPieceCount,
    })
    try {
      const info = TorrentInfo.fromInfoSection(metadata, limits)
      const renamed = resolveDuplicateFilenames(info.layout(), limits.maxDuplicateFilenames)
      for (const [index, path] of Object.entries(renamed)) info.renameFile(Number(index), path)
      torrent.files.foundDuplicates(renamed)
      return info
    } catch (error) {
      if (!(error instanceof LibtorrentError)) throw error
      this.#failed(error.code)
      torrent.errors.set(libtorrentError(LibtorrentErrors.invalidSwarmMetadata), TorrentStatus.errorFileNone)
      torrent.pause(false)
      return null
    }
  }
}

/** Whether it has all the hashes of a torrent. Links name v2 torrents also by their cut hash, as if it were a v1 one. */
function hasHash(metadata: Uint8Array, expected: InfoHash): boolean {
  if (expected.hasV2() && !bytesEqual(sha256(metadata), expected.v2.view())) return false
  if (!expected.hasV1() || bytesEqual(sha1(metadata), expected.v1.view())) return true
  return bytesEqual(sha256(metadata).subarray(0, 20), expected.v1.view())
}

/** Whether what a torrent is added with does not say that something is missing, or not wanted. */
function mayBeSeed({ filePriorities, piecePriorities, haveBits }: AddTorrentParams, info: TorrentInfo): boolean {
  const files = info.layout()
  if (filePriorities.some((priority, file) => priority === 0 && !files.padFileAt(file))) return false
  if (piecePriorities.includes(0)) return false
  return haveBits.empty() || haveBits.allSet()
}

/** Resume data keeps the hashes of v2 pieces apart from the info dictionary, a torrent file as well. */
function treesOf(info: TorrentInfo, params: AddTorrentParams): HashTrees {
  const trees = new HashTrees(info.layout())
  const known = info.fileTrees()
  if (known !== null) trees.load(known.trees, known.masks)
  if (params.merkleTrees.length > 0) trees.load(params.merkleTrees, params.merkleTreeMask)
  return trees
}
