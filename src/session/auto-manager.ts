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
