/** How much a torrent needs to be seeded: what `seedRank` needs, read off the torrent. */

import { seedRank } from './seed-need.ts'
import type { Torrent } from './torrent.ts'

export function seedRankOf(torrent: Torrent): number {
  const { env, times, swarm } = torrent
  const { now } = env.turn
  return seedRank(
    {
      isFinished: torrent.isFinished,
      isSeed: torrent.isSeed,
      isPaused: torrent.isPaused,
      activeTime: times.active(now),
      finishedTime: times.finishedFor(now),
      totalDownloaded: torrent.totalDownloaded,
      totalUploaded: torrent.totalUploaded,
      totalSize: torrent.info?.totalSize() ?? 0,
      scrapeComplete: torrent.scrapeComplete,
      scrapeIncomplete: torrent.scrapeIncomplete,
      knownSeeds: swarm.known?.numSeeds() ?? 0,
      knownPeers: swarm.known?.size ?? 0,
    },
    env.settings,
  )
}
