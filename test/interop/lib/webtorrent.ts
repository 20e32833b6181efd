/** webtorrent with one torrent, which finds peers by the DHT: see webtorrent-peer.mjs. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child, until } from './child.ts'
import type { Endpoint } from './dht-nodes.ts'

const SCRIPT = fileURLToPath(new URL('./webtorrent-peer.mjs', import.meta.url))
const PACKAGE = 'webtorrent@2.8'
const INSTALL_MS = 120_000

export interface WebtorrentModules {
  readonly folder: string
  remove(): void
}

/**
 * A folder with webtorrent in it, which is no dependency of the project: it has some 300 of its own. Fails if npm cannot get it.
 *
 * Environment: INTEROP_WEBTORRENT, such a folder that is there already.
 */
export async function installWebtorrent(): Promise<WebtorrentModules> {
  const given = process.env['INTEROP_WEBTORRENT']
  if (given !== undefined) return { folder: given, remove: () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'webtorrent-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  // without a package here, npm would install into the first folder above that has one
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const flags = ['--prefix', folder, '--ignore-scripts', '--no-save', '--no-audit', '--no-fund']
  const npm = new Child('npm', ['install', ...flags, PACKAGE], () => {}, folder)
  try {
    await until(`npm install ${PACKAGE}`, () => npm.ended, { timeoutMs: INSTALL_MS, tell: () => npm.said })
    if (npm.process.exitCode !== 0) throw new Error(`npm install ${PACKAGE} ${npm.outcome}\n${npm.said}`)
  } catch (error) {
    await npm.stop()
    remove()
    throw error
  }
  return { folder, remove }
}

export interface WebtorrentOptions {
  readonly modules: WebtorrentModules
  /** Path of a .torrent file. */
  readonly torrent?: string
  readonly magnet?: string
  readonly save: string
  /** Nodes of the DHT. It asks them for peers once, when it starts. */
  readonly nodes: readonly Endpoint[]
}

export class Webtorrent {
  readonly child: Child
  readonly #events: { readonly event: string; readonly [key: string]: unknown }[] = []

  constructor({ modules, nodes, ...options }: WebtorrentOptions) {
    const config = { ...options, modules: modules.folder, nodes: nodes.map(node => node.join(':')) }
    this.child = new Child(process.execPath, [SCRIPT, JSON.stringify(config)], line => {
      this.#events.push(JSON.parse(line))
    })
  }

  /** Waits for an event of that name, past or to come: metadata, ready, announced, finished. */
  event(name: string): Promise<unknown> {
    const look = () => this.#events.find(event => event.event === name)
    return until(`webtorrent: ${name}`, look, { children: [this.child], timeoutMs: 30_000 })
  }

  stop(): Promise<void> {
    return this.child.stop()
  }
}
