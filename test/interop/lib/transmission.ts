/**
 * transmission-daemon with one torrent, driven by RPC.
 *
 * It takes no peers in 127/8 from a tracker (but connections from there), creates no empty files, and unchokes in steps of ten
 * seconds.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, until } from './child.ts'
import { freePort } from './net.ts'

const SEEDING = 6

export interface TransmissionOptions {
  /** Path of a .torrent file, or a magnet link. */
  readonly torrent: string
  readonly save: string
  /** 127.0.0.1 unless given. */
  readonly address?: string
  /**
   * Nodes of the DHT, which is off without. None in 127/8: it takes those for errors. It asks them at a rate of one in two
   * seconds, and uses the DHT when more than eight have answered.
   */
  readonly nodes?: readonly (readonly [address: string, port: number])[]
}

interface TransmissionStatus {
  readonly status: number
  readonly leftUntilDone: number
  readonly recheckProgress: number
  readonly errorString: string
  readonly hashString: string
  readonly peers: readonly { address: string; clientName: string }[]
}

export class Transmission {
  readonly child: Child
  readonly address: string
  readonly port: number
  readonly #rpcPort: number
  readonly #root: string
  #token = ''

  constructor(options: TransmissionOptions, port: number, rpcPort: number) {
    this.address = options.address ?? '127.0.0.1'
    this.port = port
    this.#rpcPort = rpcPort
    this.#root = mkdtempSync(join(tmpdir(), 'transmission-'))
    mkdirSync(options.save, { recursive: true })
    const settings = {
      'bind-address-ipv4': this.address,
      'cache-size-mb': 4,
      'dht-enabled': options.nodes !== undefined,
      'download-dir': options.save,
      encryption: 0,
      'lpd-enabled': false,
      'peer-port': port,
      'pex-enabled': false,
      'port-forwarding-enabled': false,
      preallocation: 0,
      'ratio-limit-enabled': false,
      'rpc-bind-address': '127.0.0.1',
      'rpc-port': rpcPort,
      'rpc-whitelist-enabled': false,
      'upload-slots-per-torrent': 14,
      'utp-enabled': false,
    }
    writeFileSync(join(this.#root, 'settings.json'), JSON.stringify(settings))
    if (options.nodes !== undefined) writeFileSync(join(this.#root, 'dht.dat'), nodesFile(options.nodes))
    this.child = new Child('transmission-daemon', ['-f', '-g', this.#root, '--log-error'])
  }

  /** Starts one, which has then checked its files. */
  static async start(options: TransmissionOptions): Promise<Transmission> {
    const daemon = new Transmission(options, await freePort(options.address), await freePort())
    await until('transmission: answers', () => daemon.call('session-get').catch(() => null), {
      children: [daemon.child],
    })
    if (options.torrent.startsWith('magnet:')) {
      await daemon.call('torrent-add', { filename: options.torrent })
      return daemon
    }
    const metainfo = readFileSync(options.torrent).toString('base64')
    await daemon.call('torrent-add', { metainfo, paused: true })
    await daemon.call('torrent-verify', { ids: [1] })
    await until('transmission: checked', async () => (await daemon.status()).status === 0, { children: [daemon.child] })
    await daemon.call('torrent-start-now', { ids: [1] })
    await until('transmission: started', async () => (await daemon.status()).status >= 4, { children: [daemon.child] })
    return daemon
  }

  get endpoint(): [string, number] {
    return [this.address, this.port]
  }

  async status(): Promise<TransmissionStatus> {
    const fields = ['status', 'leftUntilDone', 'recheckProgress', 'errorString', 'hashString', 'peers']
    const { torrents } = await this.call<{ torrents: [TransmissionStatus] }>('torrent-get', { ids: [1], fields })
    return torrents[0]
  }

  async finished(timeoutMs = 90_000): Promise<void> {
    let last: TransmissionStatus | null = null
    const done = async () => {
      last = await this.status()
      return last.leftUntilDone === 0 && last.status === SEEDING
    }
    await until('transmission: complete', done, { children: [this.child], timeoutMs, tell: () => JSON.stringify(last) })
  }

  /** Asks the trackers again. */
  async reannounce(): Promise<void> {
    await this.call('torrent-reannounce', { ids: [1] })
  }

  async call<T = object>(method: string, args: object = {}): Promise<T> {
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.#rpcPort}/transmission/rpc`, {
        method: 'POST',
        headers: { 'X-Transmission-Session-Id': this.#token },
        body: JSON.stringify({ method, arguments: args }),
      })
      const text = await answer.text()
      if (answer.status === 409) {
        this.#token = answer.headers.get('X-Transmission-Session-Id') ?? ''
        continue
      }
      const { result, arguments: values } = JSON.parse(text) as { result: string; arguments: T }
      if (result !== 'success') throw new Error(`transmission, ${method}: ${result}`)
      return values
    }
  }

  async stop(): Promise<void> {
    await this.child.stop()
    rmSync(this.#root, { recursive: true, force: true })
  }
}

/** As it keeps them from one run to the next. */
function nodesFile(nodes: readonly (readonly [address: string, port: number])[]): Buffer {
  const compact = nodes.flatMap(([address, port]) => [...address.split('.').map(Number), port >> 8, port & 255])
  return Buffer.concat([Buffer.from(`d5:nodes${compact.length}:`), Buffer.from(compact), Buffer.from('e')])
}
