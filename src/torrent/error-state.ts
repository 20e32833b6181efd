/** The error that stops a torrent, and what errors of the disk do to it: some stop it, some only its downloading. */

import { FileErrorAlert } from '../alert/storage-alerts.ts'
import { TorrentErrorAlert } from '../alert/torrent-alerts.ts'
import { type ErrorCode, NO_ERROR } from '../core/error-code.ts'
import type { DiskError } from '../storage/disk-io.ts'
import type { Torrent } from './torrent.ts'
import { logDiskError } from './torrent-log.ts'
import { TorrentStatus } from './torrent-status.ts'

/** Errors of writing that end when there is room, or permission, again: the torrent goes on seeding. */
const WRITE_STOPPERS = new Set([
  30 /* EROFS */, 13 /* EACCES */, 1 /* EPERM */, 28 /* ENOSPC */, 27 /* EFBIG */, 122 /* EDQUOT */,
])
const ENOMEM = 12
const ECANCELED = 125

export class ErrorState {
  readonly #torrent: Torrent
  /** `NO_ERROR` if there is none. */
  code: ErrorCode = NO_ERROR
  /** Index of the file it is about, or one of `TorrentStatus.errorFile...`. */
  file: number = TorrentStatus.errorFileNone

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  /** Remembers an error and tells of it. To pause the torrent is the caller's. */
  set(code: ErrorCode, file: number): void {
    const torrent = this.#torrent
    this.code = code
    this.file = file
    const { alerts } = torrent.env
    if (alerts.wants(TorrentErrorAlert)) alerts.post(new TorrentErrorAlert(torrent, code, torrent.files.describe(file)))
    torrent.stateUpdated()
  }

  /** Forgets the error: what it stopped goes on. */
  clear(): void {
    if (!this.code.failed()) return
    const torrent = this.#torrent
    const { checker } = torrent
    this.code = NO_ERROR
    this.file = TorrentStatus.errorFileNone
    torrent.stateUpdated()
    torrent.env.registry.triggerAutoManage()
    torrent.listsChanged()
    if (torrent.isChecking) checker.resume()
    if (torrent.content !== null && torrent.state.kind === 'checkingResume' && !checker.busy) {
      checker.checkResume(torrent.added)
    }
  }

  /** A disk job failed. @param what decides whether the torrent may go on uploading */
  disk(error: DiskError, what: 'read' | 'write' | 'other'): void {
    const torrent = this.#torrent
    const { code } = error
    const system = code.category().name() === 'system' || code.category().name() === 'generic'
    if (system && code.value() === ECANCELED) return
    logDiskError(torrent, error, what)
    const { alerts } = torrent.env
    if (alerts.wants(FileErrorAlert)) {
      alerts.post(new FileErrorAlert(torrent, code, torrent.files.describe(error.file), error.operation))
    }
    // what had no memory this time may have it the next
    if (system && code.value() === ENOMEM) return
    if (what === 'write' && system && WRITE_STOPPERS.has(code.value())) {
      torrent.uploadMode.set(true)
      return
    }
    this.set(code, error.file)
    torrent.pause(false)
  }
}
