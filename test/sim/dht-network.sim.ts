import { describe, expect, test } from 'vitest'
import { textToBytes } from '../../src/core/bytes.ts'
import type { Sha1Hash } from '../../src/core/digest.ts'
import { ed25519CreateKeypair } from '../../src/core/ed25519.ts'
import { randomBytes } from '../../src/core/rng.ts'
import { Item } from '../../src/dht/item.ts'
import { DhtNet, type NetNode } from './lib/dht-net.ts'
import { simulate } from './lib/simulation.ts'

const NODES = 1000
const LOOKUPS = 200
/** Of the lookups of peers that were announced, so many find one. */
const SUCCESS = 0.995

interface Announced {
  readonly owner: NetNode
  readonly infoHash: Sha1Hash
  readonly port: number
  hit: boolean
}

function announce(net: DhtNet, count: number): Announced[] {
  const all = Array.from({ length: count }, (_, i) => {
    const entry = { owner: net.any(), infoHash: net.id(), port: 1024 + i, hit: false }
    entry.owner.tracker.announce(entry.infoHash, entry.port, 0, () => {})
    return entry
  })
  net.sim.run(30_000)
  return all
}

/** @returns the share of the announced that others find */
function find(net: DhtNet, announced: readonly Announced[], asker: () => NetNode = () => net.any()): number {
  for (const entry of announced) {
    asker().tracker.getPeers(entry.infoHash, peers => {
      if (peers.some(([address, port]) => address === entry.owner.address && port === entry.port)) entry.hit = true
    })
  }
  net.sim.run(30_000)
  return announced.filter(entry => entry.hit).length / announced.length
}

describe('a DHT of 1000 nodes', () => {
  test('finds what was announced, and the newest of mutable items', () => {
    simulate(1, sim => {
      const net = new DhtNet(sim)
      net.grow(NODES)
      expect(find(net, announce(net, LOOKUPS))).toBeGreaterThanOrEqual(SUCCESS)
      const sizes = net.nodes.map(node => node.node.table.size().nodes)
      expect(Math.min(...sizes)).toBeGreaterThan(20)

      // the same item from four nodes, in no order: whoever looks gets the last version
      const [publicKey, secretKey] = ed25519CreateKeypair(randomBytes(sim.rng, 32))
      const salt = textToBytes('news')
      const put = (seq: number) =>
        net.any().node.putMutableItem(
          publicKey,
          salt,
          item => item.sign(textToBytes(`version ${seq}`), salt, seq, publicKey, secretKey),
          () => {},
        )
      for (const seq of [3, 7, 5, 1]) {
        put(seq)
        sim.run(10_000)
      }
      put(6)
      put(8)
      sim.run(10_000)
      for (let i = 0; i < 20; i++) {
        let last: Item | null = null
        net.any().node.getMutableItem(publicKey, salt, (item, authoritative) => {
          if (authoritative) last = item
        })
        sim.run(10_000)
        expect((last as Item | null)?.seq).toBe(8)
      }
      const immutable = Item.ofValue(textToBytes('for ever'))
      let stored = 0
      net.any().node.putImmutableItem(immutable, count => {
        stored = count
      })
      sim.run(10_000)
      expect(stored).toBeGreaterThan(4)
      let value: Uint8Array | null = null
      net.any().node.getImmutableItem(immutable.target(), item => {
        value = item.value as Uint8Array
      })
      sim.run(10_000)
      expect(value).toEqual(textToBytes('for ever'))
    })
  })

  test('of which 20 % are dead, 20 % lie, and more come and go, with askers behind translators', () => {
    simulate(2, sim => {
      const net = new DhtNet(sim)
      net.grow(400)
      for (let i = 0; i < 200; i++) net.addLiar()
      net.grow(400)
      const askers = Array.from({ length: 50 }, () => net.addReadOnly())
      sim.run(60_000)
      // a fifth of all is gone, and nobody was told
      for (let i = 0; i < 200; i++) net.kill()
      expect(net.liars.reduce((sum, liar) => sum + liar.queries, 0)).toBeGreaterThan(1000)
      const announced = announce(net, LOOKUPS)
      // some more go, others come
      for (let i = 0; i < 20; i++) {
        net.kill(announced.map(entry => entry.owner))
        net.add()
        sim.run(1000)
      }
      let turn = 0
      const share = find(net, announced, () => (turn++ % 4 === 0 ? askers[turn % askers.length]! : net.any()))
      expect(share).toBeGreaterThanOrEqual(SUCCESS)
      // those who are asked for nothing are in nobody's table
      const inTables = new Set(net.nodes.flatMap(({ node }) => node.liveNodes().map(({ endpoint }) => endpoint[0])))
      for (const asker of askers) expect(inTables.has(asker.address)).toBe(false)
    })
  })
})
