/** Sessions that take part in the DHT of a simulated world. */

import type { Alert } from '../../../src/alert/alert.ts'
import type { AlertMap, AlertName } from '../../../src/alert/alert-map.ts'
import { AlertCategory, TorrentFlags } from '../../../src/core/enums.ts'
import type { DhtState } from '../../../src/dht/dht-state.ts'
import type { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { Engine } from '../../../src/session/engine.ts'
import { SessionBase } from '../../../src/session/session-api.ts'
import type { TorrentHandle } from '../../../src/session/torrent-handle.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SimDisk, SimDrive } from './sim-disk.ts'
import type { SimRuntime } from './sim-runtime.ts'
import type { Simulation } from './simulation.ts'
import { piecesOf, type SimTorrent } from './swarm.ts'

export const ROUTER = 'router.example'
const { dht, dhtOperation, error, status, tracker, peer } = AlertCategory

export interface DhtSessionOptions {
  readonly settings?: SettingsPack
  /** The host of an earlier session. */
  readonly runtime?: SimRuntime
  readonly addresses?: readonly string[]
  readonly state?: DhtState
}

/** One session, on a public address of its own; it begins with the router if there is one. */
export class DhtSession extends SessionBase {
  readonly name: string
  readonly runtime: SimRuntime
  readonly received: Alert[] = []
  readonly drive: SimDrive
  readonly #sim: Simulation

  constructor(sim: Simulation, name: string, options: DhtSessionOptions = {}) {
    const addresses = options.addresses ?? [`81.${DhtSession.#next(sim)}.7.1`]
    const runtime = options.runtime ?? sim.host(name, { addresses })
    const drive = new SimDrive()
    const settings: SettingsPack = {
      alert_mask: dht | dhtOperation | error | status | tracker | peer,
      dht_bootstrap_nodes: `${ROUTER}:6881`,
      listen_interfaces: '0.0.0.0:6881,[::]:6881',
      ...options.settings,
    }
    super(
      new Engine({
        runtime,
        createDisk: (_settings, door) => new SimDisk(sim.clock, sim.log, drive, door),
        settings,
        dhtState: options.state ?? null,
        onCrash: crash => {
          throw crash
        },
      }),
    )
    this.name = name
    this.runtime = runtime
    this.drive = drive
    this.#sim = sim
    this.engine.alerts.listen(alerts => {
      for (const alert of alerts) {
        this.received.push(alert)
        sim.log.add(`${name}: ${alert.what()} ${alert.message()}`)
      }
    })
  }

  static #next(sim: Simulation): number {
    const taken = WORLDS.get(sim) ?? 0
    WORLDS.set(sim, taken + 1)
    return taken + 1
  }

  get address(): string {
    return this.runtime.host.addresses[0]!
  }

  add(torrent: SimTorrent, has: 'all' | 'none', change: (params: AddTorrentParams) => void = () => {}): TorrentHandle {
    if (has === 'all') this.drive.fill('/save', `.${torrent.infoHash}.parts`, piecesOf(torrent, 'all'))
    const params = loadTorrentBuffer(torrent.file)
    params.savePath = '/save'
    params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
    change(params)
    return this.addTorrent(params)
  }

  /** The alerts of a kind that have come so far. */
  all<N extends AlertName>(name: N): AlertMap[N][] {
    return this.received.filter(alert => alert.what() === name) as AlertMap[N][]
  }

  /** Waits for the next alert of a kind. */
  next<N extends AlertName>(name: N, limitMs = 60_000): AlertMap[N] {
    const before = this.all(name).length
    this.#sim.runUntil(() => this.all(name).length > before, limitMs, `${this.name}: ${name}`)
    return this.all(name)[before]!
  }

  joined(): this {
    if (this.all('dht_bootstrap').length === 0) this.next('dht_bootstrap')
    return this
  }

  /** Ends it and lets time pass until it has ended. */
  end(): void {
    let done = false
    void this.close().then(() => {})
    this.engine.turn.run('test', () =>
      this.engine.close(() => {
        done = true
      }),
    )
    this.#sim.runUntil(() => done, 120_000, `${this.name} to close`)
  }
}

const WORLDS = new WeakMap<Simulation, number>()

/** The node that all begin with. */
export function addRouter(sim: Simulation): DhtSession {
  const router = new DhtSession(sim, 'router', { settings: { dht_bootstrap_nodes: '' } })
  sim.names.set(ROUTER, { addresses: [router.address] })
  return router
}
