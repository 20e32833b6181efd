/** What a connection to a web seed needs of the torrent's record of it. */

import type { Bitfield } from '../core/bitfield.ts'
import type { Endpoint } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { HttpHead, HttpRequestOptions, HttpSession } from '../core/runtime.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'
import type { Severity } from './peer-host.ts'

/** How a connection ends. */
export interface LinkEnd {
  readonly error: ErrorCode
  readonly severity: Severity
}

/** A web server with the files of the torrent. Calls come inside a turn. @see BEP 19 */
export interface WebSeedServer {
  readonly kind: 'webSeed'
  readonly remote: Endpoint
  /** As the torrent names it. */
  readonly url: string
  /** Over TLS. */
  readonly secure: boolean
  /** What it is known by until it says more. */
  readonly hostName: string
  /** As the torrent has them, with their original names. */
  readonly files: FileStorage
  /** Blocks to ask for in one request. */
  readonly contiguousBlocks: number
  /** The pieces it is thought to have. */
  readonly pieces: 'all' | Bitfield
  /** How many requests may be on their way to it at a time. */
  readonly pipelining: number
  openSession(pipelining: number): HttpSession
  /** The connection broke while several requests were on their way: many a server cannot cope with that. */
  brokeInPipeline(): void
  /** @param first whether it is the first request of the connection @param end exclusive */
  request(file: number, start: number, end: number, first: boolean): HttpRequestOptions
  /** It sends us elsewhere for a file. @param location as it said it; empty if it did not */
  redirected(file: number, head: HttpHead, location: string): LinkEnd
  /** It answers for a file with a status that is no success. */
  refused(file: number, head: HttpHead): LinkEnd
  /** It answers as nobody should be asked again. */
  unusable(error: ErrorCode): LinkEnd
}
