/** Runs torrents in a session until they are done or the user stops them: what `download` and `seed` share. */

import {
  AlertCategory,
  LibtorrentErrors,
  Session,
  type SettingsPack,
  SocketType,
  TorrentFlags,
  TorrentHandle,
  TorrentStatus,
} from '../index.ts'
import { formatBytes, formatElapsed, formatPercent, formatRate } from './format.ts'
import type { CommandContext } from './io.ts'
import { removeResume, saveResume } from './resume-files.ts'
import { hashName } from './torrent-source.ts'
import { type PreparedTorrent, prepareTorrent, resolvePeers, type TransferOptions } from './transfer-params.ts'
import { createDisplay, type Display, type ProgressView } from './ui.ts'

/** What ends the run. */
export type TransferMode = 'download' | 'seed'

/** Alerts that the command line lives on, whatever `--set alert_mask` says. */
const NEEDED_ALERTS = AlertCategory.error | AlertCategory.status | AlertCategory.storage | AlertCategory.tracker
/** How long saving may take before we leave without. */
const SAVE_TIMEOUT_MS = 20_000
/** How often unfinished work is saved, in case the process is killed. */
const SAVE_INTERVAL_MS = 60_000

const STATES: Readonly<Record<number, string>> = {
  [TorrentStatus.checkingFiles]: 'checking',
  [TorrentStatus.checkingResumeData]: 'checking',
  [TorrentStatus.downloadingMetadata]: 'waiting for metadata',
  [TorrentStatus.downloading]: 'downloading',
  [TorrentStatus.finished]: 'finished',
  [TorrentStatus.seeding]: 'seeding',
}

interface Entry {
  readonly handle: TorrentHandle
  name: string
  readonly infoHash: string
  readonly startedAt: number
  /** Bytes that were there before; set when the check is over. */
  startBytes: number | null
  outcome: 'running' | 'complete' | 'failed'
}

/**
 * Transfers torrents.
 *
 * @returns the exit code: 0 if all are complete, 1 if one is not
 * @throws UsageError if `settings` cannot be what the user meant; CommandError if a torrent cannot be loaded
 */
export async function transfer(
  sources: readonly string[],
  options: TransferOptions,
  settings: SettingsPack,
  mode: TransferMode,
  ctx: CommandContext,
): Promise<number> {
  const peers = await resolvePeers(options.peer)
  const prepared: PreparedTorrent[] = []
  for (const source of sources) prepared.push(await prepareTorrent(source, options, peers, ctx.interrupt))
  const display = await createDisplay(ctx)
  const session = new Session({
    ...settings,
    ...(options.listen !== undefined && { listen_interfaces: options.listen }),
    alert_mask: (settings.alert_mask ?? 0) | NEEDED_ALERTS,
  })
  const run = new TransferRun(session, display, options, mode)
  try {
    for (const torrent of prepared) run.add(torrent)
    return await run.untilDone(ctx.interrupt)
  } finally {
    display.finish()
    await session.close()
  }
}

class TransferRun {
  readonly #session: Session
  readonly #display: Display
  readonly #options: TransferOptions
  readonly #mode: TransferMode
  readonly #entries = new Map<TorrentHandle, Entry>()
  /** Torrents whose resume data is asked for, and what to do when it is there or there is none. */
  readonly #saving = new Map<TorrentHandle, () => void>()
  /** Last complaint of each tracker, so that it is not repeated at each retry. */
  readonly #complaints = new Map<string, string>()
  #wake: () => void = () => {}
  #awake = false
  #lastSave = performance.now()

  constructor(session: Session, display: Display, options: TransferOptions, mode: TransferMode) {
    this.#session = session
    this.#display = display
    this.#options = options
    this.#mode = mode
    this.#listen()
  }

  add({ params, warnings }: PreparedTorrent): void {
    for (const warning of warnings) this.#display.note('warning', warning)
    // a seed does nothing before it is known to be one
    if (this.#mode === 'seed') params.flags |= TorrentFlags.stopWhenReady
    const handle = this.#session.addTorrent(params)
    if (this.#entries.has(handle)) return
    const infoHash = hashName(params.infoHashes)
    const name = params.name || handle.status().name || infoHash
    const entry: Entry = {
      handle,
      name,
      infoHash,
      startedAt: performance.now(),
      startBytes: null,
      outcome: 'running',
    }
    this.#entries.set(handle, entry)
    const size = params.ti === null ? 'asking peers for what is in it' : formatBytes(params.ti.sizeOnDisk())
    this.#display.note('added', `${name}: ${size}`, { name, infoHash, savePath: params.savePath })
  }

  /** Peers have told what is in the torrent. */
  #described(entry: Entry): void {
    const info = entry.handle.torrentFile()
    if (info === null) return
    entry.name = info.name()
    const { name, infoHash } = entry
    const totalBytes = info.sizeOnDisk()
    this.#display.note('metadata', `${name}: ${formatBytes(totalBytes)}`, { name, infoHash, totalBytes })
  }

  /** @returns the exit code */
  async untilDone(interrupt: AbortSignal): Promise<number> {
    const wakeUp = () => this.#wakeUp()
    interrupt.addEventListener('abort', wakeUp)
    while (!interrupt.aborted) {
      this.#look()
      if (this.#isOver()) break
      this.#saveNowAndThen()
      await this.#pause(this.#display.intervalMs)
    }
    interrupt.removeEventListener('abort', wakeUp)
    if (interrupt.aborted) this.#display.note('stopping', 'stopping; press Ctrl-C again to leave at once')
    // what would still come in while the rest is written out would be lost
    this.#session.pause()
    await this.#saveAll()
    return this.#exitCode(interrupt.aborted)
  }

  #exitCode(interrupted: boolean): number {
    let code = 0
    for (const entry of this.#entries.values()) {
      if (entry.outcome === 'failed') code = 1
      if (entry.outcome === 'running' && this.#mode === 'download') {
        code = 1
        const { progress } = entry.handle.status(0)
        const text = `${entry.name}: stopped at ${formatPercent(progress)}; the same command goes on from there`
        if (interrupted) this.#display.note('stopped', text, { infoHash: entry.infoHash, progress })
      }
    }
    return code
  }

  /** Whether nothing is left to wait for. */
  #isOver(): boolean {
    const outcomes = [...this.#entries.values()].map(entry => entry.outcome)
    if (outcomes.every(outcome => outcome === 'failed')) return true
    if (this.#mode === 'seed' || this.#options.seed) return false
    return outcomes.every(outcome => outcome !== 'running')
  }

  /** Looks at all torrents, and shows what it finds. */
  #look(): void {
    this.#awake = false
    const flags = this.#display.showsPieces ? TorrentHandle.queryPieces : 0
    const seen = [...this.#entries.values()].map(entry => ({ entry, status: entry.handle.status(flags) }))
    this.#display.update(seen.map(({ entry, status }) => viewOf(entry, status)))
    for (const { entry, status } of seen) this.#judge(entry, status)
  }

  #judge(entry: Entry, status: TorrentStatus): void {
    if (entry.outcome === 'failed') return
    if (status.errc.value() !== 0) {
      this.#fail(entry, status.errc.message())
      return
    }
    const checking = STATES[status.state] === 'checking'
    if (checking || !status.hasMetadata) return
    entry.startBytes ??= status.totalWantedDone
    if (entry.outcome === 'complete') {
      // `stopWhenReady` has done its work, be it a moment after the check
      if (this.#mode === 'seed' && (status.flags & TorrentFlags.paused) !== 0) entry.handle.resume()
      return
    }
    if (status.isFinished) this.#complete(entry, status)
    else if (this.#mode === 'seed') {
      const missing = formatBytes(status.totalWanted - status.totalWantedDone)
      this.#fail(entry, `${missing} of ${formatBytes(status.totalWanted)} are not in ${this.#options.savePath}`)
    }
  }

  #complete(entry: Entry, status: TorrentStatus): void {
    entry.outcome = 'complete'
    const { name, infoHash } = entry
    if (this.#mode === 'seed') {
      this.#display.note('seeding', `seeding ${name}, Ctrl-C ends it`, { name, infoHash })
      entry.handle.resume()
      return
    }
    const seconds = (performance.now() - entry.startedAt) / 1000
    const received = status.totalWantedDone - (entry.startBytes ?? 0)
    const average = received / Math.max(seconds, 0.001)
    const how =
      received > 0 ? `${formatBytes(received)} in ${formatElapsed(seconds)}, ${formatRate(average)}` : 'it was there'
    this.#display.note('complete', `${name} is complete: ${how}`, {
      name,
      infoHash,
      totalBytes: status.totalWanted,
      receivedBytes: received,
      seconds: Math.round(seconds * 1000) / 1000,
    })
  }

  #fail(entry: Entry, reason: string): void {
    entry.outcome = 'failed'
    const { name, infoHash } = entry
    this.#display.note('error', `${name}: ${reason}`, { name, infoHash })
    entry.handle.pause()
  }

  #listen(): void {
    const session = this.#session
    const wakeUp = () => this.#wakeUp()
    session.on('metadata_received', alert => {
      const entry = this.#entries.get(alert.handle)
      if (entry !== undefined) this.#described(entry)
    })
    session.on('torrent_finished', wakeUp)
    session.on('torrent_checked', wakeUp)
    session.on('torrent_error', wakeUp)
    session.on('file_error', alert => {
      const entry = this.#entries.get(alert.handle)
      if (entry !== undefined && entry.outcome !== 'failed') this.#fail(entry, alert.message())
      this.#wakeUp()
    })
    session.on('tracker_error', alert => {
      // a tracker that has no IPv6 address is no trouble to who also has IPv4
      if (alert.error.value() === LibtorrentErrors.announceSkipped) return
      this.#complain(alert.trackerUrl(), alert.message())
    })
    session.on('tracker_warning', alert => this.#complain(alert.trackerUrl(), alert.message()))
    session.on('url_seed', alert => this.#complain(alert.serverUrl(), alert.message()))
    session.on('fastresume_rejected', alert => this.#display.note('warning', `${alert.message()}; checking the files`))
    session.on('listen_failed', alert => this.#display.note('warning', alert.message()))
    session.on('listen_succeeded', alert => {
      if (alert.socketType !== SocketType.tcp) return
      const address = alert.address.includes(':') ? `[${alert.address}]` : alert.address
      const text = `listening on ${address}:${alert.port}`
      this.#display.note('listening', text, { address: alert.address, port: alert.port })
    })
    session.on('save_resume_data', alert => {
      const done = this.#saving.get(alert.handle)
      const name = this.#entries.get(alert.handle)!.infoHash
      saveResume(this.#options.savePath, name, alert.params)
        .catch((error: Error) => this.#display.note('warning', `progress is not saved: ${error.message}`))
        .finally(done)
    })
    session.on('save_resume_data_failed', alert => this.#saving.get(alert.handle)?.())
  }

  #complain(url: string, message: string): void {
    if (this.#complaints.get(url) === message) return
    this.#complaints.set(url, message)
    this.#display.note('warning', message)
  }

  #saveNowAndThen(): void {
    const now = performance.now()
    if (now - this.#lastSave < SAVE_INTERVAL_MS) return
    this.#lastSave = now
    for (const { handle, outcome } of this.#entries.values()) {
      if (outcome === 'running' && handle.needSaveResumeData()) {
        handle.saveResumeData(TorrentHandle.saveInfoDict | TorrentHandle.onlyIfModified)
      }
    }
  }

  /** Leaves resume data for what a later run may go on with, and none for downloads that are done. */
  async #saveAll(): Promise<void> {
    const flags = TorrentHandle.saveInfoDict | TorrentHandle.flushDiskCache
    const waiting: Promise<void>[] = []
    for (const entry of this.#entries.values()) {
      const { handle } = entry
      if (entry.outcome === 'complete' && this.#mode === 'download' && !this.#options.seed) {
        waiting.push(removeResume(this.#options.savePath, entry.infoHash))
        continue
      }
      if (entry.outcome === 'failed' && this.#mode === 'seed') continue
      waiting.push(new Promise(resolve => this.#saving.set(handle, resolve)))
      handle.saveResumeData(flags)
    }
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<boolean>(resolve => {
      timer = setTimeout(resolve, SAVE_TIMEOUT_MS, true)
    })
    const late = await Promise.race([Promise.all(waiting).then(() => false), tooLong])
    clearTimeout(timer)
    if (late) this.#display.note('warning', 'progress is not saved: it took too long')
  }

  #wakeUp(): void {
    this.#awake = true
    this.#wake()
  }

  async #pause(ms: number): Promise<void> {
    if (this.#awake) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function viewOf(entry: Entry, status: TorrentStatus): ProgressView {
  return {
    name: entry.name,
    state: entry.outcome === 'failed' ? 'failed' : (STATES[status.state] ?? ''),
    progress: status.progress,
    doneBytes: status.totalWantedDone,
    totalBytes: status.totalWanted,
    rate: status.downloadPayloadRate,
    swarm: {
      infoHash: entry.infoHash,
      uploadRate: status.uploadPayloadRate,
      uploadedBytes: status.totalPayloadUpload,
      peers: status.numPeers,
      seeds: status.numSeeds,
    },
    pieces: status.pieces,
  }
}
