/** A libtorrent peer in a process of its own: see lt_peer.py. */

import { fileURLToPath } from 'node:url'
import { Child, python, until } from './child.ts'

const SCRIPT = fileURLToPath(new URL('./lt_peer.py', import.meta.url))

export interface LtPeerOptions {
  /** Path of a .torrent file. */
  readonly torrent?: string
  readonly magnet?: string
  readonly save: string
  /** `address:port`; any port of 127.0.0.1 unless given. */
  readonly listen?: string
  readonly settings?: Readonly<Record<string, unknown>>
  /** Path of resume data. */
  readonly resume?: string
  readonly seed_mode?: boolean
  /** Bytes a second, of the torrent: session limits leave peers on the same network out. */
  readonly download_limit?: number
  readonly upload_limit?: number
  readonly connect?: readonly (readonly [string, number])[]
  /** Nodes of the DHT, which `settings` have to switch on. */
  readonly nodes?: readonly (readonly [string, number])[]
  /** Prints all alerts to standard error. */
  readonly log?: boolean
}

export interface LtStatus {
  readonly state: string
  readonly progress: number
  readonly done: number
  readonly pieces: readonly boolean[]
  readonly peers: number
  readonly error: string
  readonly downloaded: number
  readonly uploaded: number
  readonly failed: number
}

interface LtEvent {
  readonly event: string
  readonly [key: string]: unknown
}

export class LtPeer {
  readonly child: Child
  readonly events: LtEvent[] = []
  readonly address: string
  port = 0

  constructor(options: LtPeerOptions) {
    this.address = (options.listen ?? '127.0.0.1:0').split(':')[0]!
    this.child = new Child(python(), [SCRIPT, JSON.stringify(options)], line => this.events.push(JSON.parse(line)))
  }

  /** Starts one and waits until it listens and has checked its files. */
  static async start(options: LtPeerOptions): Promise<LtPeer> {
    const peer = new LtPeer(options)
    peer.port = (await peer.event<{ port: number }>('listening')).port
    if ((options.torrent ?? options.resume) !== undefined) await peer.event('checked')
    return peer
  }

  get endpoint(): [string, number] {
    return [this.address, this.port]
  }

  /** The states its torrent went through. */
  get states(): string[] {
    return this.events.filter(event => event.event === 'state').map(event => event['state'] as string)
  }

  /** The first event of that name, past or to come. */
  event<T = LtEvent>(name: string, timeoutMs?: number): Promise<T> {
    const look = () => this.events.find(event => event.event === name) as T | undefined
    return until(`libtorrent: ${name}`, look, {
      children: [this.child],
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
  }

  tell(command: { readonly do: string; readonly [key: string]: unknown }): void {
    this.child.tell(command)
  }

  /** Asks it and waits for the answer: the first event of that name that fits. */
  async ask<T = LtEvent>(
    command: string | { readonly do: string; readonly [key: string]: unknown },
    answer: string,
    fits: (event: LtEvent) => boolean = () => true,
  ): Promise<T> {
    const seen = this.events.length
    const full = typeof command === 'string' ? { do: command } : command
    this.tell(full)
    const look = () => this.events.slice(seen).find(event => event.event === answer && fits(event)) as T | undefined
    return until(`libtorrent: ${full.do}`, look, { children: [this.child], timeoutMs: 20_000 })
  }

  status(): Promise<LtStatus> {
    return this.ask('status', 'status')
  }

  async saveResume(): Promise<Uint8Array> {
    const { data } = await this.ask<{ data: string }>('save_resume', 'resume')
    return new Uint8Array(Buffer.from(data, 'base64'))
  }

  /** Blocks it has hashed so far. */
  async blocksHashed(): Promise<number> {
    const { values } = await this.ask<{ values: Record<string, number> }>('stats', 'stats')
    return values['disk.num_blocks_hashed']!
  }

  connect(peer: readonly [string, number]): void {
    this.tell({ do: 'connect', peer })
  }

  stop(): Promise<void> {
    return this.child.stop()
  }
}
