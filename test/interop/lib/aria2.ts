/** aria2 with one torrent. It takes peers from trackers only, so its .torrent must name one. */

import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, until } from './child.ts'
import { freePort } from './net.ts'

export interface Aria2Options {
  /** Path of a .torrent file, or a magnet link. */
  readonly torrent: string
  readonly save: string
  /** The address it tells the tracker. */
  readonly address?: string
}

export class Aria2 {
  readonly child: Child
  readonly address: string
  readonly port: number
  readonly #root: string
  readonly #done: string

  constructor(options: Aria2Options, port: number) {
    this.address = options.address ?? '127.0.0.1'
    this.port = port
    this.#root = mkdtempSync(join(tmpdir(), 'aria2-'))
    this.#done = join(this.#root, 'done')
    const hook = join(this.#root, 'hook.sh')
    writeFileSync(hook, `#!/bin/sh\ntouch '${this.#done}'\n`)
    chmodSync(hook, 0o755)
    this.child = new Child('aria2c', [
      '--no-conf',
      // without nodes to ask: it talks to UDP trackers through the socket of its DHT only
      '--enable-dht=true',
      `--dht-listen-port=${port}`,
      `--dht-file-path=${join(this.#root, 'dht.dat')}`,
      '--enable-dht6=false',
      '--bt-enable-lpd=false',
      '--enable-peer-exchange=false',
      '--disable-ipv6=true',
      '--file-allocation=none',
      '--check-integrity=true',
      '--allow-overwrite=true',
      '--seed-ratio=0.0',
      '--bt-tracker-interval=2',
      '--summary-interval=0',
      '--console-log-level=notice',
      `--stop-with-process=${process.pid}`,
      `--bt-external-ip=${this.address}`,
      `--listen-port=${port}`,
      `--dir=${options.save}`,
      `--on-bt-download-complete=${hook}`,
      options.torrent,
    ])
  }

  static async start(options: Aria2Options): Promise<Aria2> {
    return new Aria2(options, await freePort('0.0.0.0'))
  }

  /** Until everything is there and verified; a seed reports this after its check. */
  async finished(timeoutMs = 60_000): Promise<void> {
    await until('aria2: complete', () => existsSync(this.#done), { children: [this.child], timeoutMs })
  }

  get endpoint(): [string, number] {
    return [this.address, this.port]
  }

  async stop(): Promise<void> {
    await this.child.stop()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
