/** Nodes of a DHT, each of another implementation, that are all asked in the same way. */

import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import DHT from 'bittorrent-dht'
import type {
  DhtGetPeersReplyAlert,
  DhtImmutableItemAlert,
  DhtMutableItemAlert,
  DhtPutAlert,
} from '../../../src/alert/dht-alerts.ts'
import { type Child, until } from './child.ts'
import { LtPeer } from './lt-peer.ts'
import { lib } from './ours.ts'

export type Endpoint = readonly [address: string, port: number]

/** A key pair made of a seed, for owners of mutable items. */
export interface Owner {
  /** 32 bytes each. */
  readonly seed: Buffer
  readonly publicKey: Buffer
}

/** What a node is asked to store; text, which is stored as its UTF-8. */
export interface OwnedItem {
  readonly owner: Owner
  readonly value: string
  readonly salt: string
}

export interface Node {
  readonly name: string
  readonly endpoint: Endpoint
  /** Tells it of another node. */
  add(node: Endpoint): void
  /** How many nodes it knows that have answered it. */
  size(): Promise<number>
  /** Says that it is a peer of a swarm, with its own port. @param hash hex */
  announce(hash: string): Promise<void>
  /** Looks for peers of a swarm until those are among them. */
  find(hash: string, wanted: readonly Endpoint[]): Promise<void>
  /** @returns where it is stored, in hex */
  put(value: string): Promise<string>
  get(target: string): Promise<string | null>
  /** Stores it as the next version of what is there. */
  putOwned(item: OwnedItem): Promise<void>
  getOwned(publicKey: Buffer, salt: string): Promise<{ value: string; seq: number } | null>
  stop(): Promise<unknown>
}

/** How long a node may take for a single request. */
const PATIENCE_MS = 15_000

export function owner(name: string): Owner {
  const seed = createHash('sha256').update(name).digest()
  return { seed, publicKey: createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' }).subarray(-32) }
}

function privateKey(seed: Buffer) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function isSignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey])
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature)
}

/** Asks again and again until the answers have all that is wanted; fails with what was there instead. */
async function askUntil(
  what: string,
  wanted: readonly Endpoint[],
  ask: () => Promise<readonly Endpoint[]>,
  children: readonly Child[] = [],
): Promise<void> {
  const found = new Set<string>()
  const look = async () => {
    for (const each of await ask()) found.add(each.join(':'))
    return wanted.every(each => found.has(each.join(':')))
  }
  const tell = () => `wanted ${wanted.join(' ')}, got ${[...found].join(' ')}`
  await until(what, look, { timeoutMs: PATIENCE_MS, tell, children })
}

/** Time for the answers to a request that does not say when it is done. */
function answers(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 300))
}

/** Settings of all nodes, ours and libtorrent's: nothing but the DHT, and an answer to each of many requests at once. */
export const DHT_ONLY = {
  dht_block_ratelimit: 1000,
  dht_upload_rate_limit: 1_000_000,
  enable_dht: true,
  dht_bootstrap_nodes: '',
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
}

type Alert = ReturnType<InstanceType<typeof lib.Session>['popAlerts']>[number]

export class OurNode implements Node {
  readonly name: string
  readonly session: InstanceType<typeof lib.Session>
  readonly #address: string
  readonly #alerts: Alert[] = []

  private constructor(name: string, [address, port]: Endpoint, settings: object) {
    this.name = name
    this.#address = address
    this.session = new lib.Session({
      ...DHT_ONLY,
      listen_interfaces: `${address}:${port}`,
      alert_mask: lib.AlertCategory.dht | lib.AlertCategory.dhtOperation | lib.AlertCategory.error,
      ...settings,
    })
  }

  /** @param listen with port 0 for any */
  static async start(name: string, listen: Endpoint, settings: object = {}): Promise<OurNode> {
    const node = new OurNode(name, listen, settings)
    await until(`${name}: runs`, () => node.session.isDhtRunning() && node.session.listenPort() !== 0)
    return node
  }

  get endpoint(): Endpoint {
    return [this.#address, this.session.listenPort()]
  }

  add(node: Endpoint): void {
    this.session.addDhtNode(node)
  }

  async size(): Promise<number> {
    const stats = await this.#ask(
      'session_stats',
      () => this.session.postSessionStats(),
      () => true,
    )
    return (stats as unknown as { values: Record<string, number> }).values['dht.dht_nodes']!
  }

  async announce(hash: string): Promise<void> {
    this.session.dhtAnnounce(new lib.Sha1Hash(hash))
  }

  find(hash: string, wanted: readonly Endpoint[]): Promise<void> {
    return askUntil(`${this.name}: peers`, wanted, async () => {
      const seen = this.#take().length
      this.session.dhtGetPeers(new lib.Sha1Hash(hash))
      await answers()
      return this.#take()
        .slice(seen)
        .filter(alert => alert.what() === 'dht_get_peers_reply')
        .map(alert => alert as DhtGetPeersReplyAlert)
        .filter(alert => alert.infoHash.toString() === hash)
        .flatMap(alert => alert.peers())
    })
  }

  async put(value: string): Promise<string> {
    let target = ''
    const alert = await this.#ask<DhtPutAlert>(
      'dht_put',
      () => {
        target = this.session.dhtPutImmutableItem(Buffer.from(value)).toString()
      },
      put => put.target.toString() === target,
    )
    stored(this.name, alert.numSuccess)
    return target
  }

  async get(target: string): Promise<string | null> {
    const alert = await this.#ask<DhtImmutableItemAlert>(
      'dht_immutable_item',
      () => this.session.dhtGetImmutableItem(new lib.Sha1Hash(target)),
      item => item.target.toString() === target,
    )
    return alert.item === null ? null : textOf(alert.item)
  }

  async putOwned({ owner, value, salt }: OwnedItem): Promise<void> {
    const [, secret] = lib.ed25519CreateKeypair(owner.seed)
    const put = () => this.session.dhtPutMutableItem(secret, owner.publicKey, value, salt)
    const alert = await this.#ask<DhtPutAlert>('dht_put', put, each => owner.publicKey.equals(each.publicKey))
    stored(this.name, alert.numSuccess)
  }

  async getOwned(publicKey: Buffer, salt: string): Promise<{ value: string; seq: number } | null> {
    const { item, seq } = await this.#ask<DhtMutableItemAlert>(
      'dht_mutable_item',
      () => this.session.dhtGetMutableItem(publicKey, salt),
      alert => alert.authoritative && publicKey.equals(alert.key),
    )
    return item === null ? null : { value: textOf(item), seq }
  }

  async stop(): Promise<void> {
    await this.session.close()
  }

  /** The first alert of that name after `act` that fits. */
  #ask<T extends Alert>(what: string, act: () => void, fits: (alert: T) => boolean): Promise<T> {
    const seen = this.#take().length
    act()
    const look = () =>
      this.#take()
        .slice(seen)
        .find(alert => alert.what() === what && fits(alert as T)) as T | undefined
    return until(`${this.name}: ${what}`, look, { timeoutMs: PATIENCE_MS })
  }

  #take(): readonly Alert[] {
    this.#alerts.push(...this.session.popAlerts())
    return this.#alerts
  }
}

function textOf(value: unknown): string {
  return Buffer.from(value as Uint8Array).toString()
}

function stored(name: string, count: number): void {
  if (count === 0) throw new Error(`${name}: no node stored the item`)
}

export class LibtorrentNode implements Node {
  readonly name: string
  readonly #peer: LtPeer

  private constructor(name: string, peer: LtPeer) {
    this.name = name
    this.#peer = peer
  }

  static async start(name: string, listen: Endpoint, settings: object = {}): Promise<LibtorrentNode> {
    const options = { save: '/nowhere', listen: listen.join(':'), settings: { ...DHT_ONLY, ...settings } }
    return new LibtorrentNode(name, await LtPeer.start(options))
  }

  get endpoint(): Endpoint {
    return this.#peer.endpoint
  }

  add(node: Endpoint): void {
    this.#peer.tell({ do: 'dht_add', node })
  }

  async size(): Promise<number> {
    const { values } = await this.#peer.ask<{ values: Record<string, number> }>('stats', 'stats')
    return values['dht.dht_nodes']!
  }

  async announce(hash: string): Promise<void> {
    this.#peer.tell({ do: 'dht_announce', hash })
  }

  find(hash: string, wanted: readonly Endpoint[]): Promise<void> {
    const { events } = this.#peer
    const ask = async () => {
      const seen = events.length
      this.#peer.tell({ do: 'dht_peers', hash })
      await answers()
      return events
        .slice(seen)
        .filter(event => event.event === 'dht_peers' && event['hash'] === hash)
        .flatMap(event => event['peers'] as Endpoint[])
    }
    return askUntil(`${this.name}: peers`, wanted, ask, [this.#peer.child])
  }

  async put(value: string): Promise<string> {
    const seen = this.#peer.events.length
    const { stored: count } = await this.#peer.ask<{ stored: number }>({ do: 'dht_put', value }, 'dht_put')
    stored(this.name, count)
    return this.#peer.events.slice(seen).find(event => event.event === 'dht_target')!['target'] as string
  }

  async get(target: string): Promise<string | null> {
    const { value } = await this.#peer.ask<{ value: string | null }>({ do: 'dht_get', target }, 'dht_immutable')
    return value
  }

  async putOwned({ owner, value, salt }: OwnedItem): Promise<void> {
    const [, secret] = lib.ed25519CreateKeypair(owner.seed)
    const keys = { secret: Buffer.from(secret).toString('hex'), public: owner.publicKey.toString('hex') }
    const put = { do: 'dht_put_mutable', ...keys, value, salt }
    stored(this.name, (await this.#peer.ask<{ stored: number }>(put, 'dht_put')).stored)
  }

  async getOwned(publicKey: Buffer, salt: string): Promise<{ value: string; seq: number } | null> {
    type Item = { value: string | null; seq: number }
    const get = { do: 'dht_get_mutable', public: publicKey.toString('hex'), salt }
    const { value, seq } = await this.#peer.ask<Item>(get, 'dht_mutable', event => event['authoritative'] === true)
    return value === null ? null : { value, seq }
  }

  stop(): Promise<void> {
    return this.#peer.stop()
  }
}

/** The `bittorrent-dht` package: what webtorrent has. */
export class NpmNode implements Node {
  readonly name: string
  readonly dht: DHT
  endpoint: Endpoint

  private constructor(name: string, listen: Endpoint) {
    this.name = name
    this.endpoint = listen
    this.dht = new DHT({ bootstrap: false, verify: isSignature })
  }

  static async start(name: string, listen: Endpoint): Promise<NpmNode> {
    const node = new NpmNode(name, listen)
    const [address, port] = listen
    await new Promise<void>(resolve => node.dht.listen(port, address, resolve))
    node.endpoint = [address, node.dht.address().port]
    return node
  }

  add([host, port]: Endpoint): void {
    this.dht.addNode({ host, port })
  }

  async size(): Promise<number> {
    return this.dht.nodes.count()
  }

  async announce(hash: string): Promise<void> {
    await answer<void>(done => this.dht.announce(hash, 0, done))
  }

  find(hash: string, wanted: readonly Endpoint[]): Promise<void> {
    return askUntil(`${this.name}: peers`, wanted, async () => {
      const found: Endpoint[] = []
      const hear = ({ host, port }: { host: string; port: number }) => found.push([host, port])
      this.dht.on('peer', hear)
      await answer<number>(done => this.dht.lookup(hash, done)).finally(() => this.dht.off('peer', hear))
      return found
    })
  }

  async put(value: string): Promise<string> {
    return (await answer<Buffer>(done => this.dht.put({ v: Buffer.from(value) }, done))).toString('hex')
  }

  async get(target: string): Promise<string | null> {
    const found = await answer<{ v: Buffer } | null>(done => this.dht.get(target, { cache: false }, done))
    return found === null ? null : found.v.toString()
  }

  async putOwned({ owner, value, salt }: OwnedItem): Promise<void> {
    const before = await this.getOwned(owner.publicKey, salt)
    const item = {
      k: owner.publicKey,
      v: Buffer.from(value),
      seq: (before?.seq ?? 0) + 1,
      ...(salt === '' ? {} : { salt: Buffer.from(salt) }),
      sign: (message: Uint8Array) => sign(null, message, privateKey(owner.seed)),
    }
    await answer<Buffer>(done => this.dht.put(item, done))
  }

  async getOwned(publicKey: Buffer, salt: string): Promise<{ value: string; seq: number } | null> {
    const target = createHash('sha1').update(publicKey).update(salt).digest('hex')
    const options = { cache: false, ...(salt === '' ? {} : { salt }) }
    const found = await answer<{ v: Buffer; seq: number } | null>(done => this.dht.get(target, options, done))
    return found === null ? null : { value: found.v.toString(), seq: found.seq }
  }

  stop(): Promise<void> {
    return new Promise(resolve => this.dht.destroy(resolve))
  }
}

function answer<T>(ask: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, value) => (error === null || error === undefined ? resolve(value) : reject(error)))
  })
}
