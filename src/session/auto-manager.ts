/** Which auto-managed torrents run: ordering and limits over snapshots, as decisions for the engine to carry out. */

/** What is read of an auto-managed torrent that downloads or seeds. */
export interface ManagedTorrent {
  /** Place in the queue; seeds have none and are ordered by `seedRank`. */
  readonly queuePosition: number
  /** See `seedRank`; only read of seeds. */
  readonly seedRank: number
  /** Slow, and slow torrents do not count: it runs without using up `active_downloads` or `active_seeds`. */
  readonly isInactive: boolean
}

/** What is read of an auto-managed torrent that checks its files. */
export interface CheckingTorrent {
  readonly queuePosition: number
  /** It would check if it ran: not stopped by an error or by its user. */
  readonly shouldCheckFiles: boolean
}

/** Settings the auto manager reads; `SessionSettings` is one. Limits below 0 are none. */
export interface AutoManageSettings {
  readonly activeDownloads: number
  readonly activeSeeds: number
  readonly activeChecking: number
  readonly activeDhtLimit: number
  readonly activeTrackerLimit: number
  readonly activeLsdLimit: number
  readonly activeLimit: number
  readonly autoManagePreferSeeds: boolean
}

/** What is to become of one torrent. */
export interface AutoManageDecision<T> {
  readonly torrent: T
  /** False: pause it gracefully and let its disk cache go. */
  readonly run: boolean
  readonly announceToDht: boolean
  readonly announceToTrackers: boolean
  readonly announceToLsd: boolean
}

/** What is to become of a torrent that checks. */
export interface CheckingDecision<C> {
  readonly torrent: C
  /** Resume it and start checking, else pause it. */
  readonly run: boolean
}

/** All decisions, in the order to carry them out. */
export interface AutoManagePlan<T, C> {
  readonly checking: readonly CheckingDecision<C>[]
  readonly torrents: readonly AutoManageDecision<T>[]
}

/**
 * Decides which torrents run. Pausing and resuming what is so already must do nothing.
 *
 * @param downloaders those that want something, metadata included
 * @param seeds       those that are finished
 */
export function recalculateAutoManaged<T extends ManagedTorrent, C extends CheckingTorrent>(
  checking: readonly C[],
  downloaders: readonly T[],
  seeds: readonly T[],
  settings: AutoManageSettings,
): AutoManagePlan<T, C> {
  const left: Budget = {
    dht: limit(settings.activeDhtLimit),
    tracker: limit(settings.activeTrackerLimit),
    lsd: limit(settings.activeLsdLimit),
    total: limit(settings.activeLimit),
  }
  const queued = downloaders.toSorted((a, b) => a.queuePosition - b.queuePosition)
  const ranked = seeds.toSorted((a, b) => b.seedRank - a.seedRank)
  const torrents: AutoManageDecision<T>[] = []
  if (settings.autoManagePreferSeeds) {
    decide(ranked, left, limit(settings.activeSeeds), torrents)
    decide(queued, left, limit(settings.activeDownloads), torrents)
  } else {
    decide(queued, left, limit(settings.activeDownloads), torrents)
    decide(ranked, left, limit(settings.activeSeeds), torrents)
  }
  return { checking: decideChecking(checking, limit(settings.activeChecking)), torrents }
}

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

/**
 * Whether a torrent counts as slow. It becomes so, or stops being so, only after its rate has been on that side for
 * `auto_manage_startup` seconds without a break.
 */
export class InactivityMeter {
  #inactive = false
  #since = -1

  get inactive(): boolean {
    return this.#inactive
  }

  /**
   * @param slow           its payload rate is below `inactive_down_rate` (finished: `inactive_up_rate`)
   * @param now            clock, ms
   * @param startupSeconds `auto_manage_startup`
   * @returns true if `inactive` has changed: the queue is to be looked at again
   */
  update(slow: boolean, now: number, startupSeconds: number): boolean {
    if (slow === this.#inactive) {
      this.#since = -1
      return false
    }
    if (this.#since < 0) this.#since = now
    if (now - this.#since < startupSeconds * 1000) return false
    this.#inactive = slow
    this.#since = -1
    return true
  }

  /** The torrent was paused or started: it is active until found otherwise. */
  reset(): void {
    this.#inactive = false
    this.#since = -1
  }
}

interface Budget {
  dht: number
  tracker: number
  lsd: number
  total: number
}

function limit(value: number): number {
  return value < 0 ? Number.POSITIVE_INFINITY : value
}

function decideChecking<C extends CheckingTorrent>(torrents: readonly C[], limit: number): CheckingDecision<C>[] {
  return torrents
    .toSorted((a, b) => a.queuePosition - b.queuePosition)
    .map(torrent => {
      const run = limit > 0
      // One that cannot check runs, so that it may show why, but takes nobody's turn.
      if (run && torrent.shouldCheckFiles) limit--
      return { torrent, run }
    })
}

function decide<T extends ManagedTorrent>(
  torrents: readonly T[],
  left: Budget,
  typeLimit: number,
  out: AutoManageDecision<T>[],
): void {
  for (const torrent of torrents) {
    const run = left.total > 0 && (torrent.isInactive || typeLimit > 0)
    if (!run) {
      out.push({ torrent, run, announceToDht: false, announceToTrackers: false, announceToLsd: false })
      continue
    }
    left.total--
    if (!torrent.isInactive) typeLimit--
    out.push({
      torrent,
      run,
      announceToDht: --left.dht >= 0,
      announceToTrackers: --left.tracker >= 0,
      announceToLsd: --left.lsd >= 0,
    })
  }
}
