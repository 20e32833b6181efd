/** A whole torrent file: the info dictionary and what stands beside it (BEP 3, 5, 12, 19, 52). */

import {
  TOKEN_DICT,
  TOKEN_END,
  TOKEN_INTEGER,
  TOKEN_LIST,
  TOKEN_STRING,
  type TokenTable,
} from '../bencode/token-table.ts'
import { bytesToBinary, bytesToText } from '../core/bytes.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { decodeUtf8 } from '../core/text.ts'
import { escapeUrlPath, isI2pUrl, isValidTrackerUrl } from '../core/url.ts'
import type { LoadTorrentLimits } from './load-limits.ts'
import { failLoad } from './parse-file-entry.ts'
import { type InfoRecord, parseInfo, readCollections, readSimilar } from './parse-info.ts'
import { type FileTrees, parsePieceLayers } from './piece-layers.ts'
import { verifiedText } from './sanitize-path.ts'

/** What a torrent file says. */
export interface TorrentFileRecord {
  readonly info: InfoRecord
  /** `null` for v1 torrents and for files without piece layers. */
  readonly fileTrees: FileTrees | null
  /** From outside the info dictionary. */
  readonly similar: readonly Sha1Hash[]
  /** From outside the info dictionary. */
  readonly collections: readonly Uint8Array[]
  readonly trackers: string[]
  /** Tier of each tracker. */
  readonly trackerTiers: number[]
  /** One of the trackers is on the I2P network. */
  readonly isI2p: boolean
  readonly nodes: [host: string, port: number][]
  readonly urlSeeds: string[]
  readonly comment: string
  readonly createdBy: string
  /** Seconds since 1970, 0 if not given. */
  readonly creationDate: number
}

/**
 * @returns the content, or the magnet link of a file that has one in place of an info dictionary
 * @throws LibtorrentError
 */
export function parseTorrentFile(t: TokenTable, limits: Required<LoadTorrentLimits>): TorrentFileRecord | string {
  if (t.kind(0) !== TOKEN_DICT) failLoad(LibtorrentErrors.torrentIsNoDict)
  const infoToken = t.findKind(0, 'info', TOKEN_DICT)
  if (infoToken < 0) {
    const uri = t.findKind(0, 'magnet-uri', TOKEN_STRING)
    if (uri < 0) failLoad(LibtorrentErrors.torrentMissingInfo)
    return bytesToText(t.string(uri))
  }
  const info = parseInfo(t, infoToken, limits)
  const layers = info.infoHashes.hasV2() ? t.findKind(0, 'piece layers', TOKEN_DICT) : -1
  const trackers: string[] = []
  const trackerTiers: number[] = []
  readTrackers(t, trackers, trackerTiers)
  const date = t.findInt(0, 'creation date', -1)
  return {
    info,
    fileTrees: layers < 0 ? null : parsePieceLayers(t, layers, info.files),
    similar: readSimilar(t, 0),
    collections: readCollections(t, 0),
    trackers,
    trackerTiers,
    isI2p: trackers.some(isI2pUrl),
    nodes: readNodes(t),
    urlSeeds: readUrlSeeds(t, info.files.numFiles() > 1),
    comment: readText(t, 'comment.utf-8', 'comment'),
    createdBy: readText(t, 'created by.utf-8', 'created by'),
    creationDate: Math.max(0, date),
  }
}

/** The tracker of `announce` only counts if `announce-list` names none. Addresses that cannot be used are left out. */
function readTrackers(t: TokenTable, urls: string[], tiers: number[]): void {
  const list = t.findKind(0, 'announce-list', TOKEN_LIST)
  if (list >= 0) {
    let tier = 0
    for (let i = list + 1; t.kind(i) !== TOKEN_END; i = t.next(i), tier++) {
      if (t.kind(i) !== TOKEN_LIST) continue
      for (let j = i + 1; t.kind(j) !== TOKEN_END; j = t.next(j)) {
        if (t.kind(j) === TOKEN_STRING) addTracker(t, j, tier, urls, tiers)
      }
    }
  }
  if (urls.length > 0) return
  const announce = t.findKind(0, 'announce', TOKEN_STRING)
  if (announce >= 0) addTracker(t, announce, 0, urls, tiers)
}

function addTracker(t: TokenTable, token: number, tier: number, urls: string[], tiers: number[]): void {
  const url = bytesToText(t.string(token)).replace(/^[ \t\n\r\f\v]+/, '')
  if (!isValidTrackerUrl(url)) return
  urls.push(url)
  tiers.push(tier)
}

function readNodes(t: TokenTable): [host: string, port: number][] {
  const out: [host: string, port: number][] = []
  const list = t.findKind(0, 'nodes', TOKEN_LIST)
  if (list < 0) return out
  for (let i = list + 1; t.kind(i) !== TOKEN_END; i = t.next(i)) {
    if (t.kind(i) !== TOKEN_LIST || t.kind(i + 1) !== TOKEN_STRING || t.kind(i + 2) !== TOKEN_INTEGER) continue
    out.push([bytesToText(t.string(i + 1)), t.int(i + 2)])
  }
  return out
}

/** Web seeds: one address, or a list in which each counts once. Those of several files are directories. */
function readUrlSeeds(t: TokenTable, directory: boolean): string[] {
  const value = t.find(0, 'url-list')
  if (value < 0) return []
  const seeds = new Set<string>()
  if (t.kind(value) === TOKEN_STRING) seeds.add(urlText(t.string(value)))
  else if (t.kind(value) === TOKEN_LIST) {
    for (let i = value + 1; t.kind(i) !== TOKEN_END; i = t.next(i)) {
      if (t.kind(i) === TOKEN_STRING) seeds.add(urlText(t.string(i)))
    }
  }
  seeds.delete('')
  return Array.from(seeds, seed => {
    const url = escapeUrlPath(seed)
    return directory && !url.endsWith('/') ? `${url}/` : url
  })
}

/** A URL in an encoding of old keeps its bytes, escaped: the server knows it by these. */
function urlText(b: Uint8Array): string {
  return decodeUtf8(b) ?? bytesToBinary(b).replace(/[^!-~]/g, c => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function readText(t: TokenTable, preferred: string, other: string): string {
  let token = t.findKind(0, preferred, TOKEN_STRING)
  if (token < 0 || t.stringLength(token) === 0) token = t.findKind(0, other, TOKEN_STRING)
  return token < 0 ? '' : verifiedText(t.string(token))
}
