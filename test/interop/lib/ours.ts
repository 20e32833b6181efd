/** The built library, and peers made with it. */

import type { Alert } from '../../../src/alert/alert.ts'
import { until } from './child.ts'

type Library = typeof import('../../../src/index.ts')

const DIST = new URL(process.env['DIST'] ? `file://${process.env['DIST']}/` : '../../../dist/', import.meta.url)

/** What users import. The compiled package, because worker threads cannot run TypeScript source. */
export const lib: Library = await import(/* @vite-ignore */ new URL('index.js', DIST).href)

type Session = InstanceType<Library['Session']>
type TorrentHandle = InstanceType<Library['TorrentHandle']>
type AddTorrentParams = InstanceType<Library['AddTorrentParams']>

export interface OursOptions {
  /** Bytes of a .torrent file, or parameters to add. */
  readonly torrent?: Uint8Array
  readonly params?: AddTorrentParams
  readonly magnet?: string
  readonly save: string
  readonly listen?: string
  readonly settings?: Readonly<Record<string, unknown>>
  readonly seedMode?: boolean
}

/** A session with one torrent. */
export class Ours {
  readonly session: Session
  readonly handle: TorrentHandle
  readonly alerts: Alert[] = []
  readonly address: string
  #open = true
  readonly #pump: Promise<void>

  constructor(options: OursOptions) {
    const listen = options.listen ?? '127.0.0.1:0'
    this.address = listen.split(':')[0]!
    const categories = lib.AlertCategory
    const settings = {
      listen_interfaces: listen,
      enable_dht: false,
      enable_lsd: false,
      enable_upnp: false,
      enable_natpmp: false,
      allow_multiple_connections_per_ip: true,
      alert_mask:
        categories.error |
        categories.status |
        categories.storage |
        categories.tracker |
        categories.connect |
        categories.peer,
      ...options.settings,
    }
    this.session = new lib.Session(settings as never)
    const params =
      options.params ??
      (options.magnet === undefined ? lib.loadTorrentBuffer(options.torrent!) : lib.parseMagnetUri(options.magnet))
    params.savePath = options.save
    params.flags &= ~(lib.TorrentFlags.paused | lib.TorrentFlags.autoManaged)
    if (options.seedMode === true) params.flags |= lib.TorrentFlags.seedMode
    this.handle = this.session.addTorrent(params)
    this.#pump = this.#collect()
  }

  /** Starts one, which then listens and has checked its files, if it knows which. */
  static async start(options: OursOptions): Promise<Ours> {
    const ours = new Ours(options)
    await ours.until('listens', () => ours.session.listenPort() !== 0)
    if (ours.handle.torrentFile() !== null) await ours.alert('torrent_checked')
    return ours
  }

  get endpoint(): [string, number] {
    return [this.address, this.session.listenPort()]
  }

  get states(): number[] {
    return this.alerts
      .filter(alert => alert.what() === 'state_changed')
      .map(alert => (alert as never as { state: number }).state)
  }

  until<T>(what: string, look: () => T | null | undefined | false, timeoutMs = 60_000): Promise<T> {
    return until(`ours: ${what}`, look, { timeoutMs, tell: () => this.log() })
  }

  /** The first alert of that name, past or to come. */
  alert(what: string, timeoutMs?: number): Promise<Alert> {
    return this.until(what, () => this.alerts.find(alert => alert.what() === what), timeoutMs)
  }

  finished(timeoutMs?: number): Promise<Alert> {
    return this.alert('torrent_finished', timeoutMs)
  }

  /** What became of the torrent, for messages of failure. */
  log(): string {
    const status = this.handle.isValid() ? this.handle.status() : null
    const head = status === null ? '' : `state ${status.state} progress ${status.progress} peers ${status.numPeers}\n`
    return (
      head +
      this.alerts
        .slice(-60)
        .map(alert => `${alert.what()}: ${alert.message()}`)
        .join('\n')
    )
  }

  async saveResume(): Promise<Uint8Array> {
    const seen = this.alerts.length
    this.handle.saveResumeData(lib.TorrentHandle.flushDiskCache | lib.TorrentHandle.saveInfoDict)
    const alert = await this.until('resume data', () => {
      const late = this.alerts.slice(seen)
      const failed = late.find(each => each.what() === 'save_resume_data_failed')
      if (failed !== undefined) throw new Error(failed.message())
      return late.find(each => each.what() === 'save_resume_data')
    })
    return lib.writeResumeDataBuf((alert as never as { params: AddTorrentParams }).params)
  }

  /** Blocks hashed so far. */
  async blocksHashed(): Promise<number> {
    const seen = this.alerts.length
    this.session.postSessionStats()
    const look = () => this.alerts.slice(seen).find(alert => alert.what() === 'session_stats')
    const stats = (await this.until('statistics', look)) as never as { values: Record<string, number> }
    return stats.values['disk.num_blocks_hashed']!
  }

  async stop(): Promise<void> {
    this.#open = false
    await this.session.close()
    await this.#pump
  }

  async #collect(): Promise<void> {
    while (this.#open) {
      await this.session.waitForAlert(100)
      this.alerts.push(...this.session.popAlerts())
    }
  }
}
