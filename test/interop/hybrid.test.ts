import { beforeAll, describe, expect, test } from 'vitest'
import { canTest, until } from './lib/child.ts'
import { MIB } from './lib/files.ts'
import type { LtPeer, LtPeerOptions } from './lib/lt-peer.ts'
import { lib } from './lib/ours.ts'
import { type Content, expectArrived, makeContent, torrentFile } from './lib/scenario.ts'
import { setStage } from './lib/stage.ts'

const stage = setStage()
const { space } = stage

/** Starts one that logs. `handshakes` gives the lines about handshakes, once both are there. */
async function logging(options: LtPeerOptions): Promise<{ peer: LtPeer; handshakes: () => Promise<string> }> {
  const peer = await stage.theirs({ ...options, log: true })
  let said = ''
  peer.child.process.stderr!.on('data', (text: string) => void (said += text))
  const lines = () => said.split('\n').filter(line => /ih: | ext: /.test(line))
  return {
    peer,
    handshakes: async () => {
      await until('handshakes', () => lines().length >= 2, { timeoutMs: 10_000, tell: () => said.slice(0, 2000) })
      return lines().join('\n')
    },
  }
}

describe.runIf(canTest('libtorrent'))('a connection with libtorrent for a hybrid torrent', () => {
  let content: Content
  let v1: string
  let v2: string

  beforeAll(async () => {
    content = await makeContent(space, 'hybrid', [['', 2 * MIB]], [])
    const hashes = lib.loadTorrentBuffer(content.torrent).infoHashes
    v1 = hashes.v1.toString()
    v2 = hashes.v2.toString().slice(0, 40)
  })

  test('that we make with the v1 hash is answered with the v2 hash, and works', async () => {
    const torrent = torrentFile(space, content)
    const { peer: seed, handshakes } = await logging({ torrent, save: content.parent, listen: '127.0.0.2:0' })
    const save = space.dir('leech')
    const leech = await stage.ours({ torrent: content.torrent, save })
    leech.handle.connectPeer(seed.endpoint)
    await leech.finished()
    expectArrived(content, save)
    const log = await handshakes()
    expect(log).toContain('v2 ')
    expect(log).toContain(`ih: ${v2}`)
    expect(log).not.toContain(`ih: ${v1}`)
  })

  test('that they make with the v1 hash we answer with the v2 hash, and it works', async () => {
    const seed = await stage.ours({ torrent: content.torrent, save: content.parent, listen: '127.0.0.3:0' })
    const save = space.dir('leech')
    const { peer: leech, handshakes } = await logging({ torrent: torrentFile(space, content), save })
    leech.connect(seed.endpoint)
    await leech.event('finished')
    expectArrived(content, save)
    const log = await handshakes()
    expect(log).toContain(`ih: ${v1}`)
    // once we have answered with the v2 hash, our bit says nothing more
    expect(log).not.toContain('v2 ')
  })
})
