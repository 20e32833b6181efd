/** Magnet links: BEP 9, with BEP 53 (`so`), v2 hashes (BEP 52), peers, DHT nodes, trackers and web seeds. */

import { bytesToText, hexToBytes, textToBytes } from '../core/bytes.ts'
import { type InfoHash, Sha1Hash, Sha256Hash } from '../core/digest.ts'
import { type Endpoint, endpointToString, isV6, parseAddress } from '../core/endpoint.ts'
import { DownloadPriority, TorrentFlags } from '../core/enums.ts'
import { LibtorrentError, libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { decodeBase32, escapeBytes, unescapeBytes } from '../core/text.ts'
import { isI2pUrl, isValidTrackerUrl } from '../core/url.ts'
import { AddTorrentParams } from './add-torrent-params.ts'

/** Largest file index that `so=` may name: a short link must not make a long list. */
const MAX_FILE_INDEX = 10000

/** What {@link makeMagnetUri} needs of a `TorrentInfo`. */
export interface MagnetSource {
  infoHashes(): InfoHash
  name(): string
  trackers(): readonly { readonly url: string }[]
  webSeeds(): readonly { readonly url: string }[]
}

/**
 * Reads a magnet link.
 *
 * Parameters that are not known, and trackers, web seeds, peers and nodes that are malformed, are passed over.
 *
 * @throws LibtorrentError `unsupportedUrlProtocol`, `invalidInfoHash`, `invalidEscapedString`, `missingInfoHashInUri`
 * @see BEP 9, BEP 53
 */
export function parseMagnetUri(uri: string): AddTorrentParams {
  if (!uri.startsWith('magnet:?')) fail(LibtorrentErrors.unsupportedUrlProtocol)
  const params = new AddTorrentParams()
  let displayName = ''
  let hasHash = false
  for (const argument of splitArguments(uri, 'magnet:?'.length)) {
    const { name, value } = argument
    if (name === 'dn') displayName = unescapeText(value) ?? ''
    else if (name === 'tr') addTracker(params, value)
    else if (name === 'ws') {
      const url = strictText(value)
      if (url !== null) params.urlSeeds.push(url)
    } else if (name === 'xt') hasHash = addTopic(params, value) || hasHash
    else if (name === 'so') selectFiles(params, value)
    else if (name === 'x.pe') {
      const peer = parsePeer(value)
      if (peer !== null) params.peers.push(peer)
    } else if (name === 'dht') addNode(params, value)
  }
  if (!hasHash) fail(LibtorrentErrors.missingInfoHashInUri)
  params.name = displayName
  return params
}

/**
 * The parts of a magnet link as a plain object.
 *
 * @deprecated use {@link parseMagnetUri}
 */
export function parseMagnetUriDict(uri: string): Partial<AddTorrentParams> {
  const { trackers, dhtNodes, infoHashes, name, savePath, storageMode, flags } = parseMagnetUri(uri)
  return { trackers, dhtNodes, infoHashes, name, savePath, storageMode, flags }
}

/**
 * Makes a magnet link.
 *
 * @returns an empty string if there is no info-hash
 */
export function makeMagnetUri(params: AddTorrentParams): string
/** @deprecated give it the `AddTorrentParams` that `loadTorrentFile` returns */
export function makeMagnetUri(info: MagnetSource): string
export function makeMagnetUri(source: AddTorrentParams | MagnetSource): string {
  const params = source instanceof AddTorrentParams ? source : paramsOf(source)
  let hashes = params.infoHashes
  if (!hashes.hasV1() && !hashes.hasV2() && params.ti !== null) hashes = params.ti.infoHashes()
  const parts: string[] = []
  if (hashes.hasV1()) parts.push(`xt=urn:btih:${hashes.v1}`)
  if (hashes.hasV2()) parts.push(`xt=urn:btmh:1220${hashes.v2}`)
  if (parts.length === 0) return ''

  if (params.name !== '') parts.push(`dn=${escapeText(params.name)}`)
  for (const url of params.trackers) parts.push(`tr=${escapeText(url)}`)
  for (const url of params.urlSeeds) parts.push(`ws=${escapeText(url)}`)
  for (const [host, port] of params.dhtNodes) parts.push(`dht=${escapeText(host)}:${port}`)
  for (const peer of params.peers) parts.push(`x.pe=${endpointToString(peer)}`)
  if (params.filePriorities.includes(DownloadPriority.dontDownload)) {
    parts.push(`so=${fileRanges(params.filePriorities)}`)
  }
  return `magnet:?${parts.join('&')}`
}

function paramsOf(info: MagnetSource): AddTorrentParams {
  return new AddTorrentParams({
    infoHashes: info.infoHashes(),
    name: info.name(),
    trackers: info.trackers().map(tracker => tracker.url),
    urlSeeds: info.webSeeds().map(seed => seed.url),
  })
}

function fail(error: LibtorrentErrors): never {
  throw new LibtorrentError(libtorrentError(error))
}

/** Names come in lower case and without the `.<number>` that keeps repeated names apart. */
function* splitArguments(uri: string, from: number): Generator<{ name: string; value: string }> {
  let at = from
  while (at < uri.length) {
    let equals = uri.indexOf('=', at)
    if (equals < 0) equals = uri.length
    let end = uri.indexOf('&', equals)
    if (end < 0) end = uri.length
    const name = uri
      .slice(at, equals)
      .toLowerCase()
      .replace(/^([^.]*)\.[0-9]*$/, '$1')
    yield { name, value: uri.slice(equals + 1, end) }
    at = end + 1
  }
}

/** `null` if an escape is malformed. */
function strictText(value: string): string | null {
  const bytes = unescapeBytes(value)
  return bytes === null ? null : bytesToText(bytes)
}

/** Up to the first malformed escape. */
function unescapeText(value: string): string | null {
  const bad = value.search(/%(?![0-9a-fA-F]{2})/)
  return strictText(bad < 0 ? value : value.slice(0, bad))
}

function escapeText(text: string): string {
  return escapeBytes(textToBytes(text))
}

function addTracker(params: AddTorrentParams, value: string): void {
  const url = strictText(value)
  if (url === null || !isValidTrackerUrl(url)) return
  if (isI2pUrl(url)) params.flags |= TorrentFlags.i2pTorrent
  // Each tracker is a tier of its own, in the order of the link.
  params.trackerTiers.push(params.trackers.length)
  params.trackers.push(url)
}

/** @returns true if it was an info-hash; other kinds of topics are passed over */
function addTopic(params: AddTorrentParams, escaped: string): boolean {
  const value = escaped.includes('%') ? strictText(escaped) : escaped
  if (value === null) fail(LibtorrentErrors.invalidEscapedString)
  const topic = value.slice(0, 9)
  const text = value.slice(9)
  if (topic === 'urn:btih:') {
    let hash: Uint8Array | null = null
    if (text.length === 40) hash = hexToBytes(text)
    // As libtorrent, take the digit one for the letter it looks like.
    else if (text.length === 32) hash = decodeBase32(text.replaceAll('1', 'I'))
    if (hash?.length !== 20) fail(LibtorrentErrors.invalidInfoHash)
    params.infoHashes.v1 = new Sha1Hash(hash)
    return true
  }
  if (topic === 'urn:btmh:') {
    // A multihash: 0x12 is SHA-256, 0x20 its length.
    const hash = text.startsWith('1220') && text.length === 68 ? hexToBytes(text.slice(4)) : null
    if (hash === null) fail(LibtorrentErrors.invalidInfoHash)
    params.infoHashes.v2 = new Sha256Hash(hash)
    return true
  }
  return false
}

/** @see BEP 53 */
function selectFiles(params: AddTorrentParams, value: string): void {
  if (!/^[0-9,-]*$/.test(value)) return
  params.flags |= TorrentFlags.defaultDontDownload
  const priorities = params.filePriorities
  for (const token of value.split(',')) {
    const range = /^([0-9]+)(?:-(-?[0-9]+)[0-9-]*)?$/.exec(token)
    if (range === null) continue
    const first = Number(range[1])
    const last = range[2] === undefined ? first : Number(range[2])
    if (first > MAX_FILE_INDEX || last > MAX_FILE_INDEX || first > last) continue
    while (priorities.length <= last) priorities.push(DownloadPriority.dontDownload)
    priorities.fill(DownloadPriority.defaultPriority, first, last + 1)
  }
}

function parsePeer(value: string): Endpoint | null {
  const match = /^\s*(?:\[([^\]]+)\]|([^:[]+)):\s*\+?([0-9]+)/.exec(value)
  if (match === null) return null
  const address = parseAddress(match[1] ?? match[2]!)
  const port = Number(match[3])
  if (address === null || port < 1 || port > 65535) return null
  if (match[1] === undefined && isV6(address)) return null
  return [address, port]
}

function addNode(params: AddTorrentParams, value: string): void {
  const colon = value.lastIndexOf(':')
  if (colon < 0) return
  const port = Number.parseInt(value.slice(colon + 1), 10)
  // Deviation: libtorrent escapes the host when it makes a link and does not undo it when it reads one.
  const host = strictText(value.slice(0, colon))
  if (host !== null && port > 0 && port < 65535) params.dhtNodes.push([host, port])
}

/** Indices of the files that are wanted, as ranges. */
function fileRanges(priorities: readonly number[]): string {
  const ranges: string[] = []
  for (let i = 0; i < priorities.length; i++) {
    if (priorities[i] === DownloadPriority.dontDownload) continue
    const first = i
    while (i + 1 < priorities.length && priorities[i + 1] !== DownloadPriority.dontDownload) i++
    ranges.push(first === i ? `${first}` : `${first}-${i}`)
  }
  return ranges.join(',')
}
