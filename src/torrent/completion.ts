/** Whether a torrent has what is wanted of it: what it does when it has, and when more is wanted again. */

import { SuggestMode } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { Torrent } from './torrent.ts'
import { logTorrent } from './torrent-log.ts'
import { publicState } from './torrent-state.ts'

export class Completion {
  readonly #torrent: Torrent
  /** Seconds since 1970; 0 while something is missing. */
  time: number

  constructor(torrent: Torrent, time: number) {
    this.#torrent = torrent
    this.time = time
  }

  /** Nothing that is wanted is missing. @param wasComplete the files were so when they were checked */
  finished(wasComplete: boolean): void {
    const torrent = this.#torrent
    const { env, times, announcer } = torrent
    const seed = torrent.isSeed
    torrent.setState({ kind: 'finished' })
    env.registry.setQueued(torrent, false)
    times.finished(env.turn.now)
    if (seed) {
      if (env.settings.suggestMode === SuggestMode.noPieceSuggestions) torrent.content!.dropPicker()
      torrent.verdicts.clear()
      torrent.setState({ kind: 'seeding' })
      times.seeding(env.turn.now)
      if (!wasComplete && announcer.isAnnouncing) announcer.completed(env.turn.now)
    }
    if (this.time === 0) this.time = env.clock.posixSeconds()
    torrent.tellUploadOnly()
    if (env.settings.closeRedundantConnections) {
      for (const peer of torrent.swarm.connections.slice()) {
        if (peer.uploadOnly) {
          peer.log('info', 'seed', 'CLOSING CONNECTION')
          peer.disconnect(libtorrentError(LibtorrentErrors.torrentFinished), Operation.bittorrent)
        }
      }
    }
    if (!wasComplete && torrent.content!.storage !== null) {
      env.disk.releaseFiles(torrent.content!.storage, () => {})
    }
    if (torrent.autoManaged) env.registry.triggerAutoManage()
    torrent.listsChanged()
  }

  /** The last wanted piece is there. */
  wantedComplete(): void {
    const torrent = this.#torrent
    if (torrent.state.kind === 'downloading') this.finished(false)
    else if (torrent.state.kind === 'finished' && torrent.isSeed) this.finished(false)
  }

  /** What is wanted has changed. @param wasFinished before */
  wantedChanged(wasFinished: boolean): void {
    const torrent = this.#torrent
    if (torrent.content === null) return
    if (!torrent.ready) {
      logTorrent(torrent, () => `*** UPDATE_PEER_INTEREST [ skipping, state: ${publicState(torrent.state)} ]`)
      return
    }
    const { isFinished } = torrent
    logTorrent(torrent, () => `*** UPDATE_PEER_INTEREST [ finished: ${+isFinished} was_finished ${+wasFinished} ]`)
    if (isFinished) {
      if (!wasFinished || torrent.state.kind === 'downloading') this.finished(false)
    } else if (wasFinished) this.resumeDownload()
    torrent.swarm.updateInterest()
    torrent.stateUpdated()
  }

  /** More is wanted than there is: priorities changed, or a piece was lost. */
  resumeDownload(): void {
    const torrent = this.#torrent
    if (torrent.state.kind !== 'finished' && torrent.state.kind !== 'seeding') return
    if (torrent.seedMode !== null) torrent.leaveSeedMode(true)
    torrent.setState({ kind: 'downloading' })
    torrent.env.registry.setQueued(torrent, true)
    this.time = 0
    torrent.times.unfinished(torrent.env.turn.now)
    logTorrent(torrent, () => '*** RESUME_DOWNLOAD')
    torrent.tellUploadOnly()
    torrent.listsChanged()
  }
}
