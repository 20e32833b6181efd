/** `dht`: what is in the DHT, for people who use it for itself. */

import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import {
  type DhtPutAlert,
  type Endpoint,
  type Entry,
  ed25519CreateKeypair,
  ed25519CreateSeed,
  parseMagnetUri,
  Session,
  Sha1Hash,
} from '../index.ts'
import type { HostPort } from './arguments.ts'
import { type DhtOptions, DhtSession } from './dht-session.ts'
import { formatEndpoint } from './format.ts'
import { type CommandContext, CommandError, printJson, printLine, UsageError } from './io.ts'
import { settingsOf } from './setting-options.ts'
import { isMagnet } from './torrent-source.ts'
import { resolvePeers } from './transfer-params.ts'

const HEX_20 = /^[0-9a-f]{40}$/i
const HEX_32 = /^[0-9a-f]{64}$/i

/** Runs `use` in a DHT that has been joined. */
async function inDht(
  options: DhtOptions,
  ctx: CommandContext,
  use: (dht: DhtSession) => Promise<number>,
): Promise<number> {
  const dht = new DhtSession(settingsOf(options.set), options, ctx.interrupt)
  try {
    await dht.join()
    return await use(dht)
  } finally {
    await dht.close()
  }
}

/** `dht peers`: who is in a swarm. @returns the exit code: 1 if nobody was found */
export async function dhtPeers(torrent: string, options: DhtOptions, ctx: CommandContext): Promise<number> {
  const infoHash = infoHashOf(torrent)
  return inDht(options, ctx, async dht => {
    const seen = new Set<string>()
    dht.session.on('dht_get_peers_reply', alert => {
      for (const peer of alert.peers()) {
        const text = formatEndpoint(peer)
        if (seen.has(text)) continue
        seen.add(text)
        if (ctx.json) printJson(ctx, { event: 'peer', address: peer[0], port: peer[1] })
        else printLine(ctx, text)
      }
    })
    dht.session.dhtGetPeers(infoHash)
    await dht.lookupsEnded('get_peers')
    if (ctx.json) printJson(ctx, { event: 'done', infoHash: infoHash.toString(), peers: seen.size })
    if (seen.size === 0) throw new CommandError(`nobody is known to have ${infoHash}`)
    return 0
  })
}

function infoHashOf(torrent: string): Sha1Hash {
  if (HEX_20.test(torrent)) return new Sha1Hash(torrent)
  if (!isMagnet(torrent)) throw new UsageError(`${torrent}: expected an info-hash of 40 hex digits, or a magnet link`)
  const { infoHashes } = parseMagnetUri(torrent)
  return infoHashes.hasV1() ? infoHashes.v1 : infoHashes.getBest()
}

export interface DhtGetOptions extends DhtOptions {
  readonly salt?: string
}

/** `dht get`: an item. @returns the exit code */
export async function dhtGet(target: string, options: DhtGetOptions, ctx: CommandContext): Promise<number> {
  if (!HEX_20.test(target) && !HEX_32.test(target)) {
    throw new UsageError(`${target}: expected the 40 hex digits of an immutable item, or the 64 of a public key`)
  }
  if (HEX_20.test(target) && options.salt !== undefined) {
    throw new UsageError('--salt is for items of a public key')
  }
  return inDht(options, ctx, async dht => {
    let found: { value: Entry | null; fields: object } | null = null
    let over = false
    dht.session.on('dht_immutable_item', alert => {
      found = { value: alert.item, fields: { target } }
      over = true
    })
    dht.session.on('dht_mutable_item', alert => {
      const { key, salt, seq, signature, authoritative } = alert
      const fields = { key: hex(key), salt: Buffer.from(salt).toString(), seq, signature: hex(signature) }
      found = { value: alert.item, fields }
      over ||= authoritative
    })
    if (HEX_20.test(target)) dht.session.dhtGetImmutableItem(new Sha1Hash(target))
    else dht.session.dhtGetMutableItem(Buffer.from(target, 'hex'), options.salt ?? '')
    await dht.until(() => over)
    const item = found as { value: Entry | null; fields: object } | null
    if (item === null || item.value === null) throw new CommandError(`${target}: nobody has it`)
    if (ctx.json) printJson(ctx, { event: 'item', ...item.fields, value: plain(item.value) })
    else if (item.value instanceof Uint8Array) ctx.stdout.write(withNewline(item.value))
    else printLine(ctx, JSON.stringify(plain(item.value)))
    return 0
  })
}

export interface DhtPutOptions extends DhtOptions {
  readonly file?: boolean
  readonly key?: string
  readonly salt?: string
}

/** `dht put`: stores an item. @returns the exit code */
export async function dhtPut(text: string, options: DhtPutOptions, ctx: CommandContext): Promise<number> {
  if (options.salt !== undefined && options.key === undefined) throw new UsageError('--salt goes with --key')
  const data: Uint8Array = options.file ? await readFile(text) : Buffer.from(text)
  const keys = options.key === undefined ? null : ed25519CreateKeypair(await seedIn(options.key))
  return inDht(options, ctx, async dht => {
    let put: DhtPutAlert | null = null
    dht.session.once('dht_put', alert => {
      put = alert
    })
    let name: string
    try {
      if (keys === null) name = dht.session.dhtPutImmutableItem(data).toString()
      else {
        const [publicKey, secretKey] = keys
        name = hex(publicKey)
        dht.session.dhtPutMutableItem(secretKey, publicKey, data, options.salt ?? '')
      }
    } catch (error) {
      if (error instanceof RangeError) throw new CommandError(error.message)
      throw error
    }
    await dht.until(() => put !== null)
    const done = put as DhtPutAlert | null
    if (done === null || done.numSuccess === 0) throw new CommandError('no node has taken it')
    const { numSuccess, seq } = done
    const fields = keys === null ? { target: name } : { key: name, salt: options.salt ?? '', seq }
    if (ctx.json) printJson(ctx, { event: 'stored', ...fields, nodes: numSuccess })
    else printLine(ctx, name)
    return 0
  })
}

/** The secret in a file: 64 hex digits. The file is made if it is not there, for its owner only to read. */
async function seedIn(path: string): Promise<Uint8Array> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const seed = ed25519CreateSeed()
    await writeFile(path, `${hex(seed)}\n`, { mode: 0o600, flag: 'wx' })
    return seed
  }
  if (!HEX_32.test(text)) throw new CommandError(`${path}: expected a key of 64 hex digits`)
  return Buffer.from(text, 'hex')
}

export interface DhtSampleOptions extends DhtOptions {
  readonly node?: readonly HostPort[]
}

/** How many nodes are asked for samples if none is named. */
const SAMPLED_NODES = 20

/** `dht sample`: info-hashes that nodes have peers of (BEP 51). @returns the exit code: 1 if no node told any */
export async function dhtSample(options: DhtSampleOptions, ctx: CommandContext): Promise<number> {
  const named = await resolvePeers(options.node)
  return inDht(options, ctx, async dht => {
    const seen = new Set<string>()
    const asked = new Set<string>()
    let answers = 0
    dht.session.on('dht_sample_infohashes', alert => {
      answers++
      const [address, port] = alert.endpoint
      const samples = alert.samples.map(String)
      if (ctx.json) {
        const { interval, numInfohashes } = alert
        printJson(ctx, { event: 'sample', address, port, interval, numInfohashes, infoHashes: samples })
      }
      for (const hash of samples) {
        if (!seen.has(hash) && !ctx.json) printLine(ctx, hash)
        seen.add(hash)
      }
    })
    const { nodes, nodes6 } = dht.session.sessionState(Session.saveDhtState).dhtState
    const known: Endpoint[] = named.length > 0 ? named : [...nodes, ...nodes6].slice(0, SAMPLED_NODES)
    for (const node of known) {
      const text = formatEndpoint(node)
      if (asked.has(text)) continue
      asked.add(text)
      dht.session.dhtSampleInfohashes(node, new Sha1Hash(randomBytes(20)))
    }
    await dht.until(() => answers >= asked.size)
    if (ctx.json) printJson(ctx, { event: 'done', nodes: answers, infoHashes: seen.size })
    if (seen.size === 0) throw new CommandError(`${answers} of ${asked.size} nodes answered, with no info-hash`)
    return 0
  })
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function withNewline(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.from('\n')])
}

/** As JSON has it: strings that are text as they are, others in hex as `{ hex }`, integers beyond 2^53 as text. */
function plain(entry: Entry): unknown {
  if (entry instanceof Uint8Array) {
    const text = Buffer.from(entry).toString()
    return Buffer.from(text).equals(entry) ? text : { hex: hex(entry) }
  }
  if (typeof entry === 'bigint') return entry.toString()
  if (Array.isArray(entry)) return entry.map(plain)
  if (typeof entry === 'object' && entry !== null) {
    return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, plain(value as Entry)]))
  }
  return entry
}
