/** What a session is given for a torrent that the command line transfers. */

import { lookup } from 'node:dns/promises'
import { type AddTorrentParams, type Endpoint, TorrentFlags } from '../index.ts'
import type { HostPort } from './arguments.ts'
import { CommandError } from './io.ts'
import { loadResume } from './resume-files.ts'
import { hashName, isMagnet, loadExactSource, loadSource } from './torrent-source.ts'

/** Options that `download` and `seed` have in common. */
export interface TransferOptions {
  readonly savePath: string
  readonly listen?: string
  readonly peer?: readonly HostPort[]
  readonly set?: readonly string[]
  readonly sequential?: boolean
  /** Go on when complete. */
  readonly seed?: boolean
}

/** A torrent to be added, and what is to be said about it. */
export interface PreparedTorrent {
  readonly params: AddTorrentParams
  readonly warnings: readonly string[]
}

/** Finds the addresses of `--peer`. @throws CommandError if a name has none */
export async function resolvePeers(peers: readonly HostPort[] = []): Promise<Endpoint[]> {
  return Promise.all(
    peers.map(async ({ host, port }): Promise<Endpoint> => {
      try {
        return [(await lookup(host)).address, port]
      } catch (error) {
        throw new CommandError(`--peer ${host}:${port}: ${(error as Error).message}`)
      }
    }),
  )
}

/**
 * Loads a torrent, and what an earlier run has left of it.
 *
 * @throws CommandError if it cannot be loaded
 */
export async function prepareTorrent(
  source: string,
  options: TransferOptions,
  peers: readonly Endpoint[],
  signal: AbortSignal,
): Promise<PreparedTorrent> {
  const warnings: string[] = []
  const loaded = await loadSource(source, signal)
  const resume = await loadResume(options.savePath, loaded.infoHashes)
  if (resume instanceof Error) warnings.push(`starting over with a check of the files: ${resume.message}`)
  const earlier = resume instanceof Error ? null : resume
  const params = withMetadata(loaded, earlier) ?? (await exactSourceOf(source, loaded, warnings, signal)) ?? loaded
  params.savePath = options.savePath
  params.flags = TorrentFlags.defaultFlags & ~(TorrentFlags.paused | TorrentFlags.autoManaged)
  selectFiles(params, loaded)
  if (options.sequential) params.flags |= TorrentFlags.sequentialDownload
  params.peers = [...params.peers, ...peers]
  const alone = params.trackers.length === 0 && params.peers.length === 0
  const isPrivate = params.ti?.priv() === true
  if (alone && (isPrivate || options.set?.some(text => /^\s*enable_dht\s*=\s*(0|false)\s*$/.test(text)))) {
    const name = params.name || hashName(params.infoHashes)
    warnings.push(`${name}: there is no tracker, no --peer and no DHT, so others have to connect to us`)
  }
  return { params, warnings }
}

/** The files that a magnet link selects (BEP 53), whatever an earlier run was to get; all, if it selects none. */
function selectFiles(params: AddTorrentParams, loaded: AddTorrentParams): void {
  params.filePriorities = loaded.filePriorities
  params.flags |= loaded.flags & TorrentFlags.defaultDontDownload
  // those of an earlier run's files
  params.piecePriorities = []
}

/** What an earlier run knew, with what the source says now; `null` if neither has the metadata. */
function withMetadata(loaded: AddTorrentParams, earlier: AddTorrentParams | null): AddTorrentParams | null {
  if (earlier === null) return loaded.ti === null ? null : loaded
  earlier.ti = loaded.ti ?? earlier.ti
  if (earlier.ti === null) return null
  // of an earlier run by a magnet link there may be less
  if (loaded.merkleTrees.length > 0) {
    earlier.merkleTrees = loaded.merkleTrees
    earlier.merkleTreeMask = loaded.merkleTreeMask
    earlier.verifiedLeafHashes = loaded.verifiedLeafHashes
  }
  if (loaded.trackers.length > 0) {
    earlier.trackers = loaded.trackers
    earlier.trackerTiers = loaded.trackerTiers
  }
  if (loaded.urlSeeds.length > 0) earlier.urlSeeds = loaded.urlSeeds
  earlier.dhtNodes = [...earlier.dhtNodes, ...loaded.dhtNodes]
  earlier.peers = [...earlier.peers, ...loaded.peers]
  earlier.name = loaded.name || earlier.name || earlier.ti.name()
  return earlier
}

/** The torrent at an address that the magnet link names; `null` if peers have to be asked. */
async function exactSourceOf(
  source: string,
  magnet: AddTorrentParams,
  warnings: string[],
  signal: AbortSignal,
): Promise<AddTorrentParams | null> {
  if (!isMagnet(source)) return null
  let exact: AddTorrentParams | null = null
  try {
    exact = await loadExactSource(source, magnet, signal)
  } catch (error) {
    if (!(error instanceof CommandError) || signal.aborted) throw error
    warnings.push(error.message)
  }
  if (exact === null) return null
  exact.trackers.push(...magnet.trackers.filter(url => !exact.trackers.includes(url)))
  exact.urlSeeds.push(...magnet.urlSeeds.filter(url => !exact.urlSeeds.includes(url)))
  exact.dhtNodes = [...exact.dhtNodes, ...magnet.dhtNodes]
  exact.peers = [...exact.peers, ...magnet.peers]
  return exact
}
