/** What a test file with peers of libtorrent and of ours needs: files, and peers that end with each test. */

import { afterAll, afterEach, expect } from 'vitest'
import { Workspace } from './files.ts'
import { LtPeer, type LtPeerOptions } from './lt-peer.ts'
import { Ours, type OursOptions } from './ours.ts'
import { type Content, torrentFile } from './scenario.ts'

export interface Stage {
  /** Removed after the last test of the file. */
  readonly space: Workspace
  /** Stops it at the end of the test. */
  keep<T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T>
  /** libtorrent, until the end of the test. */
  theirs(options: LtPeerOptions): Promise<LtPeer>
  /** Our engine, until the end of the test. */
  ours(options: OursOptions): Promise<Ours>
  /** libtorrent with everything, at 127.0.0.2. */
  theirSeed(content: Content, options?: Partial<LtPeerOptions>): Promise<LtPeer>
  /** Our engine with everything, at 127.0.0.3. */
  ourSeed(content: Content, options?: Partial<OursOptions>): Promise<Ours>
}

/** Call it where the tests are declared, once a file. */
export function setStage(): Stage {
  const space = new Workspace()
  const peers: { stop(): Promise<void> }[] = []
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.stop()
  })
  afterAll(() => space.remove())

  async function keep<T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> {
    const peer = await starting
    peers.push(peer)
    return peer
  }

  const theirs = (options: LtPeerOptions) => keep(LtPeer.start(options))
  const ours = (options: OursOptions) => keep(Ours.start(options))
  return {
    space,
    keep,
    theirs,
    ours,
    async theirSeed(content, options = {}) {
      const torrent = torrentFile(space, content)
      const seed = await theirs({ torrent, save: content.parent, listen: '127.0.0.2:0', ...options })
      expect((await seed.status()).progress).toBe(1)
      return seed
    },
    async ourSeed(content, options = {}) {
      const { torrent, parent } = content
      const seed = await ours({ torrent, save: parent, listen: '127.0.0.3:0', ...options })
      expect(seed.handle.status().isSeeding).toBe(true)
      return seed
    },
  }
}
