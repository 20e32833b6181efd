/** A session that is there for its DHT only. */

import { AlertCategory, type DhtStatsAlert, Session, type SettingsPack } from '../index.ts'
import type { HostPort } from './arguments.ts'
import { formatEndpoint } from './format.ts'
import { CommandError } from './io.ts'

/** Options that all commands of the DHT have. */
export interface DhtOptions {
  /** Nodes to begin with, instead of the setting's. */
  readonly bootstrap?: readonly HostPort[]
  readonly listen?: string
  /** Seconds. */
  readonly timeout: number
  readonly set?: readonly string[]
}

/** How often it is looked whether a lookup still runs. */
const LOOK_MS = 250

export class DhtSession {
  readonly session: Session
  readonly #interrupt: AbortSignal
  readonly #deadline: number

  constructor(settings: SettingsPack, options: DhtOptions, interrupt: AbortSignal) {
    this.#interrupt = interrupt
    this.#deadline = performance.now() + options.timeout * 1000
    this.session = new Session({
      listen_interfaces: options.listen ?? '0.0.0.0:0,[::]:0',
      enable_lsd: false,
      enable_upnp: false,
      enable_natpmp: false,
      // we are gone again in a moment: nobody is to remember us, and wait for us in vain (BEP 43)
      dht_read_only: true,
      ...(options.bootstrap !== undefined && {
        dht_bootstrap_nodes: options.bootstrap.map(({ host, port }) => formatEndpoint([host, port])).join(','),
      }),
      ...settings,
      alert_mask: (settings.alert_mask ?? 0) | AlertCategory.dht | AlertCategory.dhtOperation | AlertCategory.error,
    })
  }

  get timeIsUp(): boolean {
    return performance.now() >= this.#deadline
  }

  /**
   * Waits until the DHT has been joined.
   *
   * @throws CommandError if no node answers in time
   */
  async join(): Promise<void> {
    let failure = ''
    let unheard = ''
    let joined = false
    this.session.on('dht_error', alert => {
      failure = `: ${alert.error.message()}`
    })
    this.session.on('listen_failed', alert => {
      unheard = `: ${alert.message()}`
    })
    this.session.once('dht_bootstrap', () => {
      joined = true
    })
    await this.until(() => joined)
    if (this.numNodes === 0) throw new CommandError(`no node of the DHT answers${unheard || failure}`)
  }

  /** Nodes that we know, of both families. */
  get numNodes(): number {
    const { nodes, nodes6 } = this.session.sessionState(Session.saveDhtState).dhtState
    return nodes.length + nodes6.length
  }

  /** Waits until it is so, or the time is up. @throws CommandError at Ctrl-C */
  async until(isSo: () => boolean): Promise<boolean> {
    while (!isSo()) {
      if (this.#interrupt.aborted) throw new CommandError('stopped')
      if (this.timeIsUp) return false
      await pause(20)
    }
    return true
  }

  /** Waits until no such lookup runs any more, or the time is up. @param type as `DhtLookup.type` begins */
  async lookupsEnded(type: string): Promise<void> {
    let running = true
    const look = (alert: DhtStatsAlert) => {
      if (alert.activeRequests.some(lookup => lookup.type.startsWith(type))) running = true
    }
    this.session.on('dht_stats', look)
    while (running && !this.timeIsUp) {
      if (this.#interrupt.aborted) throw new CommandError('stopped')
      running = false
      this.session.postDhtStats()
      await pause(LOOK_MS)
    }
    this.session.off('dht_stats', look)
  }

  close(): Promise<void> {
    return this.session.close()
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
