import { describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { MIB } from './lib/files.ts'
import type { LtPeer } from './lib/lt-peer.ts'
import { lib, Ours } from './lib/ours.ts'
import { type Content, makeContent, torrentFile } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'

const stage = setStage()
const { space } = stage

type Kind = 'libtorrent' | 'ours'
type Peer = LtPeer | Ours

function start(kind: Kind, content: Content, address: string): Promise<Peer> {
  const save = space.dir(kind)
  const listen = `${address}:0`
  if (kind === 'ours') return stage.ours({ torrent: content.torrent, save, listen })
  return stage.theirs({ torrent: torrentFile(space, content), save, listen })
}

async function addressesOf(peer: Peer): Promise<string[]> {
  if (peer instanceof Ours) return peer.handle.getPeerInfo().map(info => info.remoteEndpoint()[0])
  const answer = await peer.ask<{ peers: { ip: [string, number] }[] }>('peers', 'peers')
  return answer.peers.map(({ ip }) => ip[0])
}

/** Whether the two are connected: the one that was connected to may see an address of its host at large. */
async function acquainted(left: Peer, right: Peer): Promise<boolean> {
  if ((await addressesOf(left)).includes(right.address)) return true
  return (await addressesOf(right)).includes(left.address)
}

async function waitFor(what: string, look: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 250))
  }
}

function connect(from: Peer, to: Peer): void {
  if (from instanceof Ours) from.handle.connectPeer(to.endpoint)
  else from.connect(to.endpoint)
}

describe.runIf(canTest('libtorrent'))('peer exchange', () => {
  const worlds: [middle: Kind, left: Kind, right: Kind][] = [
    ['libtorrent', 'ours', 'ours'],
    ['libtorrent', 'ours', 'libtorrent'],
    ['ours', 'libtorrent', 'libtorrent'],
    ['ours', 'ours', 'libtorrent'],
  ]

  test.each(worlds)('%s introduces %s and %s to each other', async (...kinds) => {
    const content = await makeContent(space, `pex-${kinds.join('-')}`, [['', MIB]])
    const middle = await start(kinds[0], content, '127.0.1.1')
    const left = await start(kinds[1], content, '127.0.2.1')
    const right = await start(kinds[2], content, '127.0.3.1')
    // where one has connected to is what it tells others
    connect(middle, left)
    connect(middle, right)
    // the second message comes a minute after the first, which may have been too early for one of the two
    await waitFor('the introduction', () => acquainted(left, right), 90_000)
    for (const peer of [left, right]) {
      if (!(peer instanceof Ours)) continue
      const other = peer === left ? right : left
      const info = peer.handle.getPeerInfo().find(each => each.remoteEndpoint()[0] === other.address)
      if (info !== undefined && (info.flags & lib.PeerInfo.outgoingConnection) !== 0) {
        expect(info.source & lib.PeerInfo.pex).toBe(lib.PeerInfo.pex)
      }
    }
  })

  test('libtorrent follows who comes and goes', async () => {
    const content = await makeContent(space, 'pex-visitor', [['', MIB]])
    const middle = (await start('ours', content, '127.0.1.1')) as Ours
    const left = await start('libtorrent', content, '127.0.2.1')
    const visitor = await start('ours', content, '127.0.3.1')
    connect(middle, left)
    connect(middle, visitor)
    await waitFor('the introduction', () => acquainted(left, visitor), 90_000)
    await visitor.stop()
    // does not look for others itself: libtorrent must hear of it in a message of changes, one a minute
    const later = (await start('ours', content, '127.0.4.1')) as Ours
    later.handle.setFlags(lib.TorrentFlags.disablePex)
    connect(middle, later)
    await waitFor('the next introduction', () => acquainted(left, later), 150_000)
    expect(middle.handle.getPeerInfo().some(info => info.remoteEndpoint()[0] === left.address)).toBe(true)
  })
})
