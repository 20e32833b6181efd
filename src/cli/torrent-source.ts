/** What a user names a torrent by: a file, a magnet link, or the address of a file. */

import {
  type AddTorrentParams,
  type InfoHash,
  type LoadTorrentLimits,
  loadTorrentBuffer,
  loadTorrentFile,
  parseMagnetUri,
} from '../index.ts'
import { CommandError } from './io.ts'

/** Largest torrent file that is taken from the network: the limit of `loadTorrentBuffer`. */
const MAX_TORRENT_BYTES = 10_000_000
/**
 * Limits for files of one's own: what `create` makes of half a million files is within them, and beyond the limits of
 * `loadTorrentFile`.
 */
export const LOCAL_LIMITS: LoadTorrentLimits = { maxBufferSize: 200_000_000, maxDecodeTokens: 20_000_000 }
const FETCH_TIMEOUT_MS = 60_000

/** Whether it is a magnet link. */
export function isMagnet(source: string): boolean {
  return /^magnet:/i.test(source)
}

/** Whether it is the address of a file. */
export function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source)
}

/** The hash that a torrent goes by here: v1 where there is one, else the whole v2 one. In hex. */
export function hashName(infoHashes: InfoHash): string {
  return infoHashes.hasV1() ? infoHashes.v1.toString() : infoHashes.v2.toString()
}

/**
 * Loads a torrent.
 *
 * @param signal stops waiting for the network
 * @throws CommandError that names the source
 */
export async function loadSource(source: string, signal: AbortSignal): Promise<AddTorrentParams> {
  try {
    if (isMagnet(source)) return parseMagnetUri(`magnet:${source.slice('magnet:'.length)}`)
    const params = isUrl(source)
      ? loadTorrentBuffer(await fetchTorrent(source, signal))
      : loadTorrentFile(source, LOCAL_LIMITS)
    if (params.name === '' && params.ti !== null) params.name = params.ti.name()
    return params
  } catch (error) {
    if (signal.aborted) throw new CommandError('stopped')
    throw new CommandError(describeFailure(source, error))
  }
}

/**
 * Gets the metadata of a magnet link from the addresses that it names for it (`xs`, `as`).
 *
 * @returns `null` if it names none
 * @throws CommandError if none of them has it
 */
export async function loadExactSource(
  magnet: string,
  params: AddTorrentParams,
  signal: AbortSignal,
): Promise<AddTorrentParams | null> {
  let failure: CommandError | null = null
  for (const url of exactSources(magnet)) {
    try {
      const found = await loadSource(url, signal)
      const { v1, v2 } = params.infoHashes
      const same =
        (!params.infoHashes.hasV1() || v1.equals(found.infoHashes.v1)) &&
        (!params.infoHashes.hasV2() || v2.equals(found.infoHashes.v2))
      if (same) return found
      failure = new CommandError(`${url}: it is another torrent than the magnet link names`)
    } catch (error) {
      if (!(error instanceof CommandError) || signal.aborted) throw error
      failure = error
    }
  }
  if (failure !== null) throw failure
  return null
}

function exactSources(magnet: string): string[] {
  const query = new URLSearchParams(magnet.slice(magnet.indexOf('?') + 1))
  const named = [...query].filter(([key]) => /^(xs|as)(\.\d+)?$/i.test(key)).map(([, value]) => value)
  return named.filter(isUrl)
}

/** @throws an `Error` if it cannot be had, or is too large */
async function fetchTorrent(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const { fetch } = await import('undici')
  const limit = AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)])
  const response = await fetch(url, { signal: limit, headers: { accept: 'application/x-bittorrent, */*' } })
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`the server answered ${response.status} ${response.statusText}`.trim())
  }
  const chunks: Uint8Array[] = []
  let size = 0
  // counted as it arrives, after decompression: neither a false length nor a bomb gets past it
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_TORRENT_BYTES) throw new Error(`it is larger than ${MAX_TORRENT_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** `name: reason`, where the reason of a failed request is in its cause. */
function describeFailure(source: string, error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error))
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : message
  const name = isMagnet(source) ? 'magnet link' : source
  return reason.startsWith(`${name}: `) ? reason : `${name}: ${reason}`
}
