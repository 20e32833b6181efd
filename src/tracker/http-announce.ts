/** Announces over HTTP: the URL of a request and what its answer says (BEP 3, 7, 23, 24, 31). No I/O. */

import { tryBdecode } from '../bencode/bdecode.ts'
import { BdecodeNode } from '../bencode/bdecode-node.ts'
import { binaryToBytes, bytesToBinary, bytesToText, textToBytes } from '../core/bytes.ts'
import { addressFromBytes, endpointsFromCompact } from '../core/endpoint.ts'
import { EncPolicy, TrackerEvent } from '../core/enums.ts'
import { bdecodeCategory, ErrorCode, libtorrentError } from '../core/error-code.ts'
import { BdecodeErrors, LibtorrentErrors } from '../core/error-table.ts'
import { escapeBytes } from '../core/text.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import { emptyResponse, type TrackerPeer, type TrackerRequest, type TrackerResponse } from './announce-request.ts'
import { parseScrape, scrapeUrl } from './scrape.ts'
import { hasAnnounceArguments } from './tracker-url.ts'

/** What of the settings shows in the URL. */
export type AnnounceUrlSettings = Pick<
  SessionSettings,
  'announceCryptoSupport' | 'inEncPolicy' | 'reportRedundantBytes' | 'anonymousMode' | 'announceIp' | 'ssrfMitigation'
>

const EVENT_NAMES: Readonly<Record<number, string>> = {
  [TrackerEvent.completed]: 'completed',
  [TrackerEvent.started]: 'started',
  [TrackerEvent.stopped]: 'stopped',
  [TrackerEvent.paused]: 'paused',
}

const Type = BdecodeNode.Type

/** Beyond this a number of seconds or peers is nonsense. */
const MAX_INT32 = 0x7fffffff

/**
 * The URL that asks what `request` asks.
 *
 * @param listenPort the port to tell the tracker
 * @returns an error if the tracker's URL does not allow it: no scrape there, or parameters of its own that
 *   make it look like an attack on another service
 */
export function announceUrl(
  request: TrackerRequest,
  listenPort: number,
  settings: AnnounceUrlSettings,
): string | ErrorCode {
  let url = request.url
  if (request.scrape) {
    const scrape = scrapeUrl(url)
    if (scrape === null) return libtorrentError(LibtorrentErrors.scrapeNotAvailable)
    url = scrape
  }
  const query = url.indexOf('?')
  if (query >= 0 && settings.ssrfMitigation && hasAnnounceArguments(url.slice(query + 1))) {
    return libtorrentError(LibtorrentErrors.ssrfMitigation)
  }
  url += `${query >= 0 ? '&' : '?'}info_hash=${escapeBytes(request.infoHash.view())}`
  if (!request.scrape) url += announceArguments(request, listenPort, settings)
  for (const address of request.ipv4) url += `&ipv4=${escapeText(address)}`
  for (const address of request.ipv6) url += `&ipv6=${escapeText(address)}`
  return url
}

function announceArguments(request: TrackerRequest, listenPort: number, settings: AnnounceUrlSettings): string {
  const event = EVENT_NAMES[request.event]
  const key = (request.key >>> 0).toString(16).toUpperCase().padStart(8, '0')
  let out =
    `&peer_id=${escapeBytes(request.peerId)}&port=${listenPort}` +
    `&uploaded=${request.uploaded}&downloaded=${request.downloaded}&left=${request.left}` +
    `&corrupt=${request.corrupt}&key=${key}${event === undefined ? '' : `&event=${event}`}` +
    `&numwant=${request.numWant}&compact=1&no_peer_id=1`
  if (settings.inEncPolicy !== EncPolicy.peDisabled && settings.announceCryptoSupport) out += '&supportcrypto=1'
  if (settings.reportRedundantBytes) out += `&redundant=${request.redundant}`
  if (request.trackerId !== '') out += `&trackerid=${escapeBytes(binaryToBytes(request.trackerId))}`
  if (!settings.anonymousMode && settings.announceIp !== '') out += `&ip=${escapeText(settings.announceIp)}`
  return out
}

function escapeText(text: string): string {
  return escapeBytes(textToBytes(text))
}

/** What a tracker said. `response` has what was understood also when there is an error. */
export interface ParsedResponse {
  readonly response: TrackerResponse
  readonly error: ErrorCode | null
}

/**
 * Reads the body of an answer.
 *
 * @param body     bencoded; nothing of it is kept
 * @param scrapeOf the info-hash whose scrape it is; `null` for an announce
 */
export function parseTrackerResponse(body: Uint8Array, scrapeOf: string | null): ParsedResponse {
  const response = emptyResponse()
  const decoded = tryBdecode(body)
  if (decoded.error !== BdecodeErrors.noError) {
    return { response, error: new ErrorCode(decoded.error, bdecodeCategory()) }
  }
  const dict = decoded.node
  if (dict.type() !== Type.dictT) return { response, error: libtorrentError(LibtorrentErrors.invalidTrackerResponse) }
  const error = readResponse(dict, response, scrapeOf)
  return { response, error: error === null ? null : libtorrentError(error) }
}

function readResponse(dict: BdecodeNode, out: TrackerResponse, scrapeOf: string | null): LibtorrentErrors | null {
  out.interval = int32(dict.dictFindIntValue('interval', 1800))
  out.minInterval = int32(dict.dictFindIntValue('min interval', 30))
  out.trackerId = bytesToBinary(dict.dictFindStringValue('tracker id'))

  const failure = dict.dictFindString('failure reason')
  if (failure.type() !== Type.noneT) {
    out.failureReason = bytesToText(failure.stringValue())
    out.retryIn = readRetryIn(dict.dictFind('retry in'))
    return LibtorrentErrors.trackerFailure
  }
  out.warningMessage = bytesToText(dict.dictFindStringValue('warning message'))
  if (scrapeOf !== null) return parseScrape(dict, scrapeOf, out)

  out.complete = int32(dict.dictFindIntValue('complete', -1))
  out.incomplete = int32(dict.dictFindIntValue('incomplete', -1))
  out.downloaded = int32(dict.dictFindIntValue('downloaded', -1))

  const error = readPeers(dict.dictFind('peers'), out)
  if (error !== null) return error
  const peers6 = dict.dictFindStringValue('peers6')
  if (peers6.length % 18 !== 0) return LibtorrentErrors.invalidPeersEntry
  out.peers6 = endpointsFromCompact(peers6, 16)

  const ip = dict.dictFindStringValue('external ip')
  if (ip.length === 4 || ip.length === 16) out.externalIp = addressFromBytes(ip, 0, ip.length)
  return null
}

function readPeers(peers: BdecodeNode, out: TrackerResponse): LibtorrentErrors | null {
  if (peers.type() === Type.stringT) {
    const compact = peers.stringValue()
    if (compact.length % 6 !== 0) return LibtorrentErrors.invalidPeersEntry
    out.peers4 = endpointsFromCompact(compact, 4)
  } else if (peers.type() === Type.listT) {
    let error: LibtorrentErrors | null = null
    const count = peers.listSize()
    for (let i = 0; i < count; i++) {
      const peer = readPeer(peers.listAt(i))
      if (typeof peer === 'number') error = peer
      else out.peers.push(peer)
    }
    // one bad entry does not make the others worthless
    if (out.peers.length === 0) return error
  }
  return null
}

/** One entry of a list of peers. @returns the peer, or why it is none */
export function readPeer(node: BdecodeNode): TrackerPeer | LibtorrentErrors {
  if (node.type() !== Type.dictT) return LibtorrentErrors.invalidPeerDict
  const ip = node.dictFindString('ip')
  const port = node.dictFindIntValue('port', -1)
  if (ip.type() === Type.noneT || port < 0 || port > 65535) return LibtorrentErrors.invalidTrackerResponse
  const id = node.dictFindStringValue('peer id')
  return {
    hostname: bytesToText(ip.stringValue()),
    port,
    peerId: id.length === 20 ? new Uint8Array(id) : new Uint8Array(20),
  }
}

/** Minutes or "never", which some trackers write as a string of digits. @see BEP 31 */
function readRetryIn(node: BdecodeNode): number {
  if (node.type() === Type.noneT) return -1
  let minutes = Number.NaN
  if (node.type() === Type.intT) minutes = node.intValue()
  else if (node.type() === Type.stringT) {
    const text = bytesToText(node.stringValue())
    if (text === 'never') return Number.POSITIVE_INFINITY
    if (/^\d{1,9}$/.test(text)) minutes = Number(text)
  }
  return minutes > 0 ? Math.min(minutes * 60, MAX_INT32) : -1
}

function int32(value: number): number {
  return Math.max(-MAX_INT32, Math.min(MAX_INT32, value))
}
