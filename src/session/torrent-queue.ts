/** Which torrents run, by auto-management: decides every `auto_manage_interval`, and when something calls for it. */

import type { Turn } from '../core/turn.ts'
import type { SessionSettings } from '../settings/session-settings.ts'
import { seedRankOf } from '../torrent/seed-rank.ts'
import type { Torrent } from '../torrent/torrent.ts'
import { InactivityMeter, recalculateAutoManaged } from './auto-manager.ts'

/** What the queue needs of the session. */
export interface QueueHost {
  readonly turn: Turn
  readonly settings: SessionSettings
  torrents(): Iterable<Torrent>
  isPaused(): boolean
}

interface Managed {
  readonly torrent: Torrent
  readonly queuePosition: number
  readonly seedRank: number
  readonly isInactive: boolean
  readonly shouldCheckFiles: boolean
}

export class TorrentQueue {
  readonly #host: QueueHost
  readonly #meters = new WeakMap<Torrent, InactivityMeter>()
  #due = false
  #queued = false
  #lastRun = 0

  constructor(host: QueueHost) {
    this.#host = host
  }

  /** Something has changed that the decision depends on. It is made at the end of the turn. */
  trigger(): void {
    this.#due = true
    if (this.#queued) return
    this.#queued = true
    this.#host.turn.later(() => {
      this.#queued = false
      if (this.#due) this.#run()
    })
  }

  /** Once a second. */
  tick(now: number): void {
    const { settings } = this.#host
    if (settings.dontCountSlowTorrents) this.#measure(now)
    if (this.#due || now - this.#lastRun >= settings.autoManageInterval * 1000) this.#run()
  }

  /** Slow torrents do not count. */
  #measure(now: number): void {
    const { settings } = this.#host
    for (const torrent of this.#host.torrents()) {
      if (!torrent.autoManaged || torrent.isPaused || !torrent.ready) {
        this.#meters.get(torrent)?.reset()
        continue
      }
      let meter = this.#meters.get(torrent)
      if (meter === undefined) this.#meters.set(torrent, (meter = new InactivityMeter()))
      const slow = torrent.isFinished
        ? torrent.stats.uploadPayloadRate() < settings.inactiveUpRate
        : torrent.stats.downloadPayloadRate() < settings.inactiveDownRate
      if (meter.update(slow, now, settings.autoManageStartup)) this.#due = true
    }
  }

  #run(): void {
    const { settings, turn } = this.#host
    this.#due = false
    this.#lastRun = turn.now
    if (this.#host.isPaused()) return
    const checking: Managed[] = []
    const downloaders: Managed[] = []
    const seeds: Managed[] = []
    for (const torrent of this.#host.torrents()) {
      if (!torrent.autoManaged || torrent.errors.code.failed() || torrent.aborted) continue
      const list =
        torrent.isChecking || torrent.state.kind === 'checkingResume'
          ? checking
          : torrent.isFinished
            ? seeds
            : downloaders
      // resume checks run by themselves
      if (list === checking && !torrent.isChecking) continue
      list.push({
        torrent,
        queuePosition: torrent.env.registry.queuePosition(torrent),
        seedRank: list === seeds ? seedRankOf(torrent) : 0,
        isInactive: settings.dontCountSlowTorrents && (this.#meters.get(torrent)?.inactive ?? false),
        shouldCheckFiles: torrent.isChecking,
      })
    }
    const plan = recalculateAutoManaged(checking, downloaders, seeds, settings)
    for (const { torrent, run } of plan.checking) {
      if (run) torrent.torrent.resume()
      else torrent.torrent.pause(true)
    }
    for (const { torrent, run, announceToTrackers, announceToDht, announceToLsd } of plan.torrents) {
      if (run) {
        torrent.torrent.pausing.set(false)
        torrent.torrent.announcing.allow(announceToTrackers, announceToDht, announceToLsd)
      } else torrent.torrent.pausing.set(true, true)
    }
  }
}
