/** How much of a torrent file is accepted before loading gives up. */

/** Limits of `loadTorrentFile` and its siblings; what is not given has libtorrent's default. */
export interface LoadTorrentLimits {
  /** Of the file, in bytes; 10,000,000. */
  maxBufferSize?: number
  /** 2,097,152. */
  maxPieces?: number
  /** Nested lists and dictionaries; 100. */
  maxDecodeDepth?: number
  /** Bencoded values, keys and ends; 3,000,000. */
  maxDecodeTokens?: number
  /** Elements of a path; 100. */
  maxDirectoryDepth?: number
  /** Collisions met while names that are there twice are made unique; 500. */
  maxDuplicateFilenames?: number
}

/** @internal */
export const DEFAULT_LIMITS: Required<LoadTorrentLimits> = Object.freeze({
  maxBufferSize: 10_000_000,
  maxPieces: 0x200000,
  maxDecodeDepth: 100,
  maxDecodeTokens: 3_000_000,
  maxDirectoryDepth: 100,
  maxDuplicateFilenames: 500,
})

/** @internal */
export function withDefaultLimits(limits?: LoadTorrentLimits): Required<LoadTorrentLimits> {
  return limits === undefined ? DEFAULT_LIMITS : { ...DEFAULT_LIMITS, ...limits }
}
