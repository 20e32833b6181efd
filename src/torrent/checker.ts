/** Finds out which pieces are on disk: by resume data where it holds, by hashing everything where it does not. */

import { FastresumeRejectedAlert, OversizedFileAlert } from '../alert/storage-alerts.ts'
import type { PieceIndex } from '../core/brands.ts'
import { BLOCK_SIZE } from '../core/brands.ts'
import { bytesEqual, equalAt } from '../core/bytes.ts'
import { TorrentFlags } from '../core/enums.ts'
import { libtorrentCategory, libtorrentError, MiscErrors, miscCategory } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import type { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import { type CheckResult, CheckStatus, type HashResult } from '../storage/disk-io.ts'
import type { Torrent } from './torrent.ts'
import { logResumeChecked, logTorrent } from './torrent-log.ts'

/** Bytes per hash job: enough to keep a worker busy, little enough to stop soon. */
const JOB_BYTES = 16 << 20
const ENOENT = 2

export class Checker {
  readonly #torrent: Torrent
  /** Next piece to hand to the disk, and how many were judged. */
  #next: PieceIndex = 0
  #checked = 0
  /** First pieces of the jobs under way. They may end in any order. */
  readonly #underWay = new Set<PieceIndex>()
  #running = false
  /** Paused, and jobs are still under way. */
  #pausing = false
  /** A resume check is with the disk. */
  busy = false
  /** Changes when a check is started or given up: answers of an older one are ignored. */
  #run = 0

  constructor(torrent: Torrent) {
    this.#torrent = torrent
  }

  /** 0 to 1,000,000 of the pieces. */
  get progressPpm(): number {
    const { content } = this.#torrent
    return content === null ? 0 : Math.floor((this.#checked * 1_000_000) / content.geometry.numPieces)
  }

  /** Pieces judged so far, from the first on without a gap: where a check that was broken off goes on. */
  get numChecked(): number {
    let until = this.#next
    for (const first of this.#underWay) until = Math.min(until, first)
    return until
  }

  // ---- resume data -------------------------------------------------------------------------------

  /** @param resume `null` after a recheck was asked for */
  checkResume(resume: AddTorrentParams | null): void {
    const torrent = this.#torrent
    const run = ++this.#run
    const done = (result: CheckResult) => {
      this.busy = false
      if (run === this.#run && !torrent.aborted) this.#resumeChecked(resume, result)
    }
    if (resume !== null && resume.flags & TorrentFlags.noVerifyFiles) {
      done({ status: CheckStatus.ok, error: null, oversizedFile: -1 })
      return
    }
    this.busy = true
    const { content, env } = torrent
    env.disk.checkFiles(content!.storage!, resume, torrent.files.links(), result =>
      env.turn.run('resume check', () => done(result)),
    )
    logTorrent(torrent, () => 'init, async_check_files')
    env.disk.submit()
  }

  #resumeChecked(resume: AddTorrentParams | null, result: CheckResult): void {
    const torrent = this.#torrent
    const { alerts } = torrent.env
    if (result.oversizedFile >= 0 && alerts.wants(OversizedFileAlert)) alerts.post(new OversizedFileAlert(torrent))
    const hasResume = resume !== null && containsResumeData(resume)
    if (hasResume && result.status !== CheckStatus.ok && alerts.wants(FastresumeRejectedAlert)) {
      const error = result.error
      alerts.post(
        new FastresumeRejectedAlert(
          torrent,
          error?.code ?? libtorrentError(LibtorrentErrors.mismatchingFileSize),
          error === null ? '' : torrent.files.describe(error.file),
          error?.operation ?? Operation.checkResume,
        ),
      )
    }
    const isCheckNeeded = result.status === CheckStatus.failed || result.status === CheckStatus.needFullCheck
    const isRejected = isCheckNeeded || (hasResume && result.status !== CheckStatus.ok)
    if (resume !== null) logResumeChecked(torrent, result, isRejected)
    else logTorrent(torrent, () => `on_force_recheck: status: ${result.status}`)
    if (result.status === CheckStatus.failed) {
      torrent.setAutoManaged(false)
      torrent.errors.disk(result.error!, 'other')
      return
    }
    torrent.added = null
    const content = torrent.content!
    if (result.status === CheckStatus.needFullCheck) {
      torrent.seedMode = null
      content.forgetPieces()
      this.#start(0, resume === null)
      return
    }
    if (torrent.seedMode === null) {
      content.needPicker()
      if (resume !== null && result.status === CheckStatus.ok) this.#restore(resume)
      const known = resume?.haveBits.size() ?? 0
      if (resume !== null && result.status === CheckStatus.ok && known > 0 && known < content.geometry.numPieces) {
        this.#start(known)
        return
      }
    }
    torrent.filesChecked()
  }

  /** Takes over the pieces and blocks that resume data knows. */
  #restore(resume: AddTorrentParams): void {
    const content = this.#torrent.content!
    const { numPieces } = content.geometry
    const have = resume.haveBits
    const count = Math.min(have.size(), numPieces)
    if (count === numPieces && have.allSet()) content.foundAll()
    else for (let p = 0; p < count; p++) if (have.getBit(p)) content.foundPiece(p)
    for (const [piece, blocks] of resume.unfinishedBits) {
      if (piece >= 0 && piece < numPieces && !content.havePiece(piece)) content.restoreBlocks(piece, blocks)
    }
  }

  // ---- hashing everything ------------------------------------------------------------------------

  /** Forgets all pieces and looks at the files anew. */
  forceRecheck(): void {
    const torrent = this.#torrent
    if (torrent.content === null || torrent.aborted) return
    // it is at it, or waits for its files to be looked at
    if (this.mayRun || torrent.state.kind === 'checkingResume') return
    torrent.errors.clear()
    torrent.swarm.disconnectAll(libtorrentError(LibtorrentErrors.stoppingTorrent), Operation.bittorrent)
    torrent.announcer.stop(torrent.env.turn.now)
    torrent.announcing.changed()
    torrent.seedMode = null
    const { content, env } = torrent
    content.spill()
    content.forgetPieces()
    torrent.times.unfinished(env.turn.now)
    torrent.setState({ kind: 'checkingResume' })
    env.registry.setQueued(torrent, true)
    torrent.added = null
    env.disk.releaseFiles(content.storage!, () => {})
    this.checkResume(null)
  }

  #start(from: PieceIndex, recheck = false): void {
    const torrent = this.#torrent
    if (recheck) logTorrent(torrent, () => `on_force_recheck: starting from ${from}`)
    this.#run++
    this.#next = from
    this.#checked = from
    this.#underWay.clear()
    this.#running = false
    this.#pausing = false
    torrent.content!.needPicker()
    torrent.setState({ kind: 'checking' })
    torrent.env.registry.triggerAutoManage()
    // a recheck of the user waits for its turn; what was just added does so by being added paused
    if (recheck && torrent.autoManaged) torrent.pause(true)
    this.resume()
    torrent.listsChanged()
  }

  /** The torrent may check: not paused. */
  get mayRun(): boolean {
    const torrent = this.#torrent
    return torrent.isChecking && !torrent.isPaused && !torrent.errors.code.failed() && !torrent.aborted
  }

  resume(): void {
    if (!this.mayRun || this.#running) return
    this.#running = true
    this.#pausing = false
    this.#fill()
    logTorrent(this.#torrent, () => `start_checking, m_checking_piece: ${this.#next}`)
  }

  pause(): void {
    this.#running = false
    this.#pausing = true
    if (this.#underWay.size === 0) this.#nowPaused()
  }

  /** The last job that ran when the check was paused has ended: its alert comes once. */
  #nowPaused(): void {
    if (!this.#pausing) return
    this.#pausing = false
    logTorrent(this.#torrent, () => 'on_piece_hashed, checking paused')
    this.#torrent.pausing.postPaused()
  }

  stop(): void {
    this.#running = false
    this.#run++
  }

  /** What was found counts for nothing: the check, if there is one, begins anew when it is let go on. */
  startOver(): void {
    this.stop()
    this.#next = 0
    this.#checked = 0
    this.#underWay.clear()
  }

  #fill(): void {
    const torrent = this.#torrent
    const content = torrent.content!
    const { geometry } = content
    const { disk, settings } = torrent.env
    const perJob = Math.max(1, Math.floor(JOB_BYTES / geometry.pieceLength))
    const budget = Math.max(settings.checkingMemUsage * BLOCK_SIZE, JOB_BYTES * 2)
    const atOnce = Math.max(6, Math.ceil(budget / (perJob * geometry.pieceLength)))
    const want = { v1: content.checksV1, v2: content.info.v2(), blockHashes: false }
    while (this.#running && this.#underWay.size < atOnce && this.#next < geometry.numPieces) {
      const first = this.#next
      const count = Math.min(perJob, geometry.numPieces - first)
      const run = this.#run
      this.#next += count
      this.#underWay.add(first)
      disk.hashPieces(content.storage!, first, count, want, result =>
        torrent.env.turn.run('check', () => {
          if (run === this.#run) this.#hashed(first, count, result)
        }),
      )
    }
    disk.submit()
  }

  #hashed(first: PieceIndex, count: number, result: HashResult): void {
    const torrent = this.#torrent
    const content = torrent.content!
    this.#underWay.delete(first)
    const answered = Math.floor((result.v1?.length ?? 0) / 20) || Math.floor((result.v2?.length ?? 0) / 32)
    for (let i = 0; i < Math.min(answered, count); i++) {
      if (!this.#judge(first + i, result, i)) return
    }
    if (result.error !== null && !this.#missing(first + answered, first + count, result)) return
    this.#checked = Math.min(content.geometry.numPieces, this.#checked + count)
    torrent.stateUpdated()
    if (this.#next < content.geometry.numPieces) {
      if (this.#running) this.#fill()
      else if (this.#underWay.size === 0) this.#nowPaused()
    } else if (this.#underWay.size === 0) this.#done()
  }

  /** @returns false if the check is over */
  #judge(piece: PieceIndex, result: HashResult, i: number): boolean {
    const torrent = this.#torrent
    const content = torrent.content!
    if (torrent.env.settings.disableHashChecks) {
      content.foundPiece(piece)
      return true
    }
    const expected = content.expected(piece)
    const v1 = expected.v1 === null || result.v1 === null ? null : equalAt(result.v1, i * 20, expected.v1, 0, 20)
    const root = result.v2?.subarray(i * 32, (i + 1) * 32) ?? null
    const run = this.#run
    const v2 = root === null ? null : this.#judgeRoot(piece, root, expected.v2, v1)
    // what it says of other pieces may have ended the check
    if (run !== this.#run) return false
    if (v1 !== null && v2 !== null && v1 !== v2) {
      torrent.inconsistentHashes(piece)
      return false
    }
    logTorrent(torrent, () => `on_piece_hashed, piece: ${piece} passed: ${+((v1 ?? v2) === true)}`)
    if (v1 ?? v2) content.foundPiece(piece)
    return true
  }

  #judgeRoot(piece: PieceIndex, root: Uint8Array, expected: Uint8Array | null, v1: boolean | null): boolean | null {
    if (expected !== null) return bytesEqual(root, expected)
    return this.#torrent.content!.commits.foundUnproven(piece, root, v1)
  }

  /**
   * A job ended early. What a missing or short file has of pieces is missing; anything else ends the check.
   *
   * @returns false if the check is over
   */
  #missing(at: PieceIndex, end: PieceIndex, result: HashResult): boolean {
    const torrent = this.#torrent
    const { code, file } = result.error!
    const gone =
      (code.category().name() === 'system' && code.value() === ENOENT) ||
      (code.category() === miscCategory() && code.value() === MiscErrors.eof) ||
      (code.category() === libtorrentCategory() && code.is(LibtorrentErrors.fileTooShort))
    if (!gone) {
      logTorrent(torrent, () => `on_piece_hashed, fatal disk error: (${code.value()}) ${code.message()}`)
      this.startOver()
      torrent.setAutoManaged(false)
      torrent.errors.disk(result.error!, 'read')
      torrent.env.registry.triggerAutoManage()
      return false
    }
    // the pieces after the hole, in the same job
    const content = torrent.content!
    const last = file >= 0 ? content.geometry.piecesOfFile(file).end - 1 : at
    const resumeAt = Math.max(at + 1, Math.min(end, last))
    if (resumeAt < end) {
      const count = end - resumeAt
      this.#checked -= count
      this.#underWay.add(resumeAt)
      const run = this.#run
      const want = { v1: content.checksV1, v2: content.info.v2(), blockHashes: false }
      torrent.env.disk.hashPieces(content.storage!, resumeAt, count, want, rest =>
        torrent.env.turn.run('check', () => {
          if (run === this.#run) this.#hashed(resumeAt, count, rest)
        }),
      )
      torrent.env.disk.submit()
    }
    return true
  }

  #done(): void {
    const torrent = this.#torrent
    logTorrent(torrent, () => 'on_piece_hashed, completed')
    this.#running = false
    this.#next = 0
    this.#checked = torrent.content!.geometry.numPieces
    this.#nowPaused()
    torrent.needSave.progress()
    const { settings, registry } = torrent.env
    const limits = [settings.activeDownloads, settings.activeSeeds, settings.activeLimit]
    const limit = Math.min(...limits.map(n => (n < 0 ? Number.MAX_SAFE_INTEGER : n)))
    // the queue decides who goes on
    if (torrent.autoManaged && registry.numTorrents > limit) torrent.pause(false)
    torrent.filesChecked()
  }
}

function containsResumeData(params: AddTorrentParams): boolean {
  return (
    params.haveBits.size() > 0 ||
    params.unfinishedBits.size > 0 ||
    params.verifiedBits.size() > 0 ||
    (params.flags & TorrentFlags.seedMode) !== 0
  )
}
