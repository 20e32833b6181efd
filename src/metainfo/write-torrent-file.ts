/** Writes `AddTorrentParams` as a .torrent file. */

import { bdecode, bdecodeNode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { bencode } from '../bencode/bencode.ts'
import { type BencodeInput, type Entry, Preformatted } from '../bencode/entry.ts'
import { bytesToBinary } from '../core/bytes.ts'
import { WriteFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import type { AddTorrentParams } from './add-torrent-params.ts'
import { ANY_SIZE, exactEntry } from './exact-entry.ts'
import { restorePieceLayers } from './piece-layers.ts'
import { trackerTiers } from './resume-write.ts'
import type { TorrentInfo } from './torrent-info.ts'

type Dictionary = { [key: string]: BencodeInput }

/**
 * A .torrent file as plain values; strings are `Uint8Array`s, as `bdecode` gives them.
 *
 * @param flags combination of `WriteFlags`
 * @throws LibtorrentError as {@link writeTorrentFileBuf}
 */
export function writeTorrentFile(params: AddTorrentParams, flags = 0): Entry {
  const out = bdecode(writeTorrentFileBuf(params, flags), ANY_SIZE) as { [key: string]: Entry }
  out['info'] = exactEntry(infoOf(params).infoSection())
  return out
}

/**
 * A .torrent file.
 *
 * A v2 torrent that came by a magnet link can be written as soon as all its piece hashes are known, which is at the
 * latest when it is complete: from what `saveResumeData` gives with `saveInfoDict`.
 *
 * @param flags combination of `WriteFlags`: `allowMissingPieceLayer` for v2 torrents of whose piece hashes nothing is
 *   known (others must ask peers for them; who knows some, as `saveResumeData` does of a torrent that is on its way,
 *   empties `merkleTrees`), `noHttpSeeds` to leave out web seeds, `includeDhtNodes`
 * @throws LibtorrentError `torrentMissingInfo` without metadata, `torrentMissingPieceLayer` if the trees of a v2
 *   torrent are not known, `torrentInvalidPieceLayer` if they are known in part or are wrong
 */
export function writeTorrentFileBuf(params: AddTorrentParams, flags = 0): Uint8Array {
  const info = infoOf(params)
  const section = info.infoSection()
  const out: Dictionary = { info: new Preformatted(section) }
  if (params.comment !== '') out['comment'] = params.comment
  if (params.creationDate !== 0) out['creation date'] = params.creationDate
  if (params.createdBy !== '') out['created by'] = params.createdBy
  if (info.v2()) {
    const layers = pieceLayers(params, info)
    if (layers !== null) out['piece layers'] = layers
    else if ((flags & WriteFlags.allowMissingPieceLayer) === 0) fail(LibtorrentErrors.torrentMissingPieceLayer)
  }
  if (params.urlSeeds.length > 0 && (flags & WriteFlags.noHttpSeeds) === 0) out['url-list'] = params.urlSeeds
  if (params.dhtNodes.length > 0 && (flags & WriteFlags.includeDhtNodes) !== 0) out['nodes'] = params.dhtNodes
  addRelated(out, info, section)
  if (params.trackers.length === 1) out['announce'] = params.trackers[0]!
  else if (params.trackers.length > 1) out['announce-list'] = trackerTiers(params.trackers, params.trackerTiers)
  return bencode(out)
}

function fail(error: LibtorrentErrors): never {
  throw new LibtorrentError(libtorrentError(error))
}

function infoOf(params: AddTorrentParams): TorrentInfo {
  if (params.ti === null) fail(LibtorrentErrors.torrentMissingInfo)
  return params.ti
}

/**
 * By root of the file; files of one piece have none.
 *
 * @returns `null` if nothing is known of the trees
 * @see BEP 52
 */
function pieceLayers(params: AddTorrentParams, info: TorrentInfo): Dictionary | null {
  const files = info.layout()
  const { merkleTrees, merkleTreeMask } = params
  if (merkleTrees.length > 0 && merkleTrees.length !== files.numFiles()) {
    fail(LibtorrentErrors.torrentMissingPieceLayer)
  }
  const known = restorePieceLayers(files, merkleTrees, merkleTreeMask).trees
  const layers = Object.create(null) as Dictionary
  const missing: string[] = []
  for (let i = 0; i < files.numFiles(); i++) {
    const root = files.rootView(i)
    if (files.padFileAt(i) || files.fileSize(i) <= files.pieceLength() || root === null) continue
    const key = bytesToBinary(root)
    if (known[i]!.length > 0) layers[key] = known[i]!
    else missing.push(key)
  }
  // files with the same content share a layer, which is known if one of them has it
  if (!missing.some(key => !(key in layers))) return layers
  if (merkleTrees.length === 0) return null
  return fail(LibtorrentErrors.torrentInvalidPieceLayer)
}

/** Similar torrents and collections that the torrent file had outside its info dictionary. @see BEP 38 */
function addRelated(out: Dictionary, info: TorrentInfo, section: Uint8Array): void {
  const similar = info.similarTorrents()
  const collections = info.collections()
  if (similar.length === 0 && collections.length === 0) return
  const inside = bdecodeNode(section, ANY_SIZE)
  const lacks = (key: string) => inside.dictFind(key).type() === BdecodeNode.Type.noneT
  if (similar.length > 0 && lacks('similar')) out['similar'] = similar.map(hash => hash.view())
  if (collections.length > 0 && lacks('collections')) out['collections'] = collections
}
