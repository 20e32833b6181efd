/** One web seed of a torrent: what is known of the server, whether it is connected, and what it is asked. */

import { Bitfield } from '../core/bitfield.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { HttpHead, HttpRequestOptions, HttpSession, ProxyOptions } from '../core/runtime.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import type { WebSeedEntry } from '../metainfo/web-seed-entry.ts'
import type { PeerConnection } from '../peer/peer-connection.ts'
import type { LinkEnd, WebSeedServer } from '../peer/web-seed-server.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import type { PeerEntry } from './peer-entry.ts'
import { fileUrl } from './web-seed-url.ts'

/** Where a file is that the server sent us elsewhere for, and how many times we were sent on. */
export interface Redirect {
  readonly url: string
  readonly hops: number
}

/** What a connected web seed tells the list that it is in. */
export interface WebSeedReports {
  readonly settings: SessionSettings
  readonly proxy: ProxyOptions | null
  /** Address to connect from; `null` leaves it to the system. */
  localAddress(to: Endpoint): string | null
  openSession(pipelining: number): HttpSession
  redirected(seed: WebSeed, file: number, head: HttpHead, location: string): LinkEnd
  refused(seed: WebSeed, file: number, head: HttpHead): LinkEnd
  unusable(seed: WebSeed, error: ErrorCode): LinkEnd
}

/** The least that is asked for at once, if the piece is not longer. */
const MIN_RUN_BYTES = 1024 * 1024

export class WebSeed {
  readonly url: string
  readonly auth: string
  readonly extraHeaders: WebSeedEntry['extraHeaders']
  /** Known from a redirect: not saved. */
  ephemeral: boolean
  /** A server of the internet has named it: it must not be one of the local network. */
  readonly noLocalAddresses: boolean
  /** How many times we were sent on until here. */
  readonly hops: number
  /** Milliseconds; not to be connected to before. */
  retryAt = Number.NEGATIVE_INFINITY
  /** Why it fails was told since it was last connected to. */
  reported = false
  /** What its name was looked up to; the first is the next to be tried. */
  endpoints: Endpoint[] = []
  resolving = false
  removed = false
  /** Kept in the list, but not used again. */
  disabled = false
  /** It can be asked for the next before it has answered the last. */
  pipelines = true
  /** False if it is known to have nothing. */
  interesting = true
  /** By file; `null`: all, as far as is known. */
  haveFiles: Bitfield | null = null
  readonly redirects = new Map<number, Redirect>()
  peer: PeerConnection | null = null
  /** Takes the blame for what it sends; made with the first connection. */
  entry: PeerEntry | null = null

  constructor(entry: Pick<WebSeedEntry, 'url' | 'auth' | 'extraHeaders'>, found?: { hops: number; noLocal: boolean }) {
    this.url = entry.url
    this.auth = entry.auth
    this.extraHeaders = entry.extraHeaders
    this.ephemeral = found !== undefined
    this.noLocalAddresses = found?.noLocal ?? false
    this.hops = found?.hops ?? 0
  }

  /** It does not have a file. */
  lacks(file: number, files: FileStorage): void {
    this.haveFiles ??= new Bitfield(files.numFiles(), true)
    this.haveFiles.clearBit(file)
    if (!hasAny(this.haveFiles, files)) this.interesting = false
  }

  /** It has a file after all: a redirect leads to it. */
  gains(file: number): void {
    this.haveFiles?.setBit(file)
    this.interesting = true
  }

  /** The face for a connection. */
  server(files: FileStorage, remote: Endpoint, hostName: string, reports: WebSeedReports): WebSeedServer {
    const seed = this
    const { settings } = reports
    return {
      kind: 'webSeed',
      remote,
      secure: /^\s*https:/i.test(this.url),
      url: this.url,
      hostName,
      files,
      contiguousBlocks: contiguousBlocks(settings, files.pieceLength()),
      get pieces() {
        return seed.haveFiles === null ? 'all' : piecesOfFiles(files, seed.haveFiles)
      },
      pipelining: this.pipelines ? settings.urlseedPipelineSize : 1,
      brokeInPipeline: () => {
        this.pipelines = false
      },
      openSession: pipelining => reports.openSession(pipelining),
      request: (file, start, end, first) => this.#request(files, remote, reports, file, start, end, first),
      redirected: (file, head, location) => reports.redirected(this, file, head, location),
      refused: (file, head) => reports.refused(this, file, head),
      unusable: error => reports.unusable(this, error),
    }
  }

  /** Where a file is. */
  urlOf(file: number, files: FileStorage): string {
    return this.redirects.get(file)?.url ?? fileUrl(this.url, files, file)
  }

  #request(
    files: FileStorage,
    remote: Endpoint,
    reports: WebSeedReports,
    file: number,
    start: number,
    end: number,
    first: boolean,
  ): HttpRequestOptions {
    const { settings, proxy } = reports
    const headers: Record<string, string> = {}
    if ((first || settings.alwaysSendUserAgent) && !settings.anonymousMode && settings.userAgent !== '') {
      headers['user-agent'] = settings.userAgent
    }
    if (this.auth !== '') headers['authorization'] = this.auth
    for (const [name, value] of this.extraHeaders) headers[name.toLowerCase()] = value
    headers['range'] = `bytes=${start}-${end - 1}`
    return {
      url: this.urlOf(file, files),
      headers,
      localAddress: proxy === null ? reports.localAddress(remote) : null,
      proxy,
      timeoutMs: Math.max(1, settings.urlseedTimeout) * 1000,
      maxBodyBytes: end - start,
      maxRedirects: 0,
      verifyCertificate: settings.validateHttpsTrackers,
      decompress: false,
      // the address that was looked up and judged, and no other
      filterAddresses: () => [remote[0]],
    }
  }
}

/** Blocks to fetch at once: `urlseed_max_request_bytes` of them, at least a piece. */
export function contiguousBlocks(settings: SessionSettings, pieceLength: number): number {
  const bytes = Math.max(MIN_RUN_BYTES, pieceLength, settings.urlseedMaxRequestBytes)
  return Math.max(1, Math.floor(bytes / BLOCK_SIZE))
}

/** The pieces whose every file is there. Pad files and empty ones always are. */
export function piecesOfFiles(files: FileStorage, haveFiles: Bitfield): Bitfield {
  const pieces = new Bitfield(files.numPieces(), true)
  for (let file = 0; file < files.numFiles(); file++) {
    if (haveFiles.getBit(file) || files.padFileAt(file) || files.fileSize(file) === 0) continue
    const last = files.lastPieceIndexAtFile(file)
    for (let piece = files.pieceIndexAtFile(file); piece <= last; piece++) pieces.clearBit(piece)
  }
  return pieces
}

function hasAny(haveFiles: Bitfield, files: FileStorage): boolean {
  for (let file = 0; file < files.numFiles(); file++) {
    if (haveFiles.getBit(file) && !files.padFileAt(file)) return true
  }
  return false
}
