/** How much a finished torrent is in need of seeding: the order of the seed queue. */

/** What the rank of a finished torrent is made of. */
export interface SeedSnapshot {
  /** Nothing wanted is missing. */
  readonly isFinished: boolean
  /** Nothing at all is. */
  readonly isSeed: boolean
  readonly isPaused: boolean
  /** Seconds not paused, and of these finished. */
  readonly activeTime: number
  readonly finishedTime: number
  /** Payload bytes over all runs. */
  readonly totalDownloaded: number
  readonly totalUploaded: number
  readonly totalSize: number
  /** Of the last scrape; -1 if there was none. */
  readonly scrapeComplete: number
  readonly scrapeIncomplete: number
  /** Of the peer list. */
  readonly knownSeeds: number
  readonly knownPeers: number
}

/** Limits up to which seeding is owed. */
export interface SeedLimits {
  /** Seconds. */
  readonly seedTimeLimit: number
  /** Percent of the download time. */
  readonly seedTimeRatioLimit: number
  /** Percent of the bytes downloaded. */
  readonly shareRatioLimit: number
}

const RATIO_NOT_MET = 0x40000000
const NO_SEEDS = 0x20000000
const RECENTLY_STARTED = 0x10000000
const RANK_MASK = 0x0fffffff
const RECENT_SECONDS = 30 * 60

/**
 * How much a finished torrent is in need of being seeded, higher is more: those that have not reached their seeding
 * goals, those nobody else seeds, those started lately (so that they do not flap), then by downloaders per seed.
 */
export function seedRank(t: SeedSnapshot, limits: SeedLimits): number {
  if (!t.isFinished) return 0
  let rank = 0
  const downloadTime = t.activeTime - t.finishedTime
  const downloaded = Math.max(t.totalDownloaded, t.totalSize)
  if (
    t.finishedTime < limits.seedTimeLimit &&
    downloadTime > 1 &&
    Math.floor((t.finishedTime * 100) / downloadTime) < limits.seedTimeRatioLimit &&
    downloaded > 0 &&
    Math.floor((t.totalUploaded * 100) / downloaded) < limits.shareRatioLimit
  ) {
    rank |= RATIO_NOT_MET
  }
  if (!t.isPaused && t.activeTime < RECENT_SECONDS) rank |= RECENTLY_STARTED
  // A scrape counts us too.
  const self = t.isSeed && !t.isPaused ? 1 : 0
  const seeds = t.scrapeComplete >= 0 ? Math.max(0, t.scrapeComplete - self) : t.knownSeeds
  const downloaders = t.scrapeIncomplete >= 0 ? t.scrapeIncomplete : t.knownPeers - t.knownSeeds
  if (seeds === 0) return rank | NO_SEEDS | (downloaders & RANK_MASK)
  const scale = t.isSeed ? 1000 : 500
  return rank | (Math.floor(((1 + downloaders) * scale) / seeds) & RANK_MASK)
}
