/** The gauges of the session statistics that are read off their owners when they are asked for. */

import * as C from '../stats/counter-ids.ts'
import type { Engine } from './engine.ts'

export function fillGauges(engine: Engine): void {
  const { counters, registry, limits } = engine
  const disk = engine.disk.stats()
  const set = (index: number, value: number) => counters.set(index, Math.floor(value))
  set(C.DISK_NUM_BLOCKS_WRITTEN, disk.blocksWritten)
  set(C.DISK_NUM_BLOCKS_READ, disk.blocksRead)
  set(C.DISK_NUM_BLOCKS_HASHED, disk.blocksHashed)
  set(C.DISK_NUM_WRITE_OPS, disk.writeOps)
  set(C.DISK_NUM_READ_OPS, disk.readOps)
  set(C.DISK_DISK_READ_TIME, disk.readTime)
  set(C.DISK_DISK_WRITE_TIME, disk.writeTime)
  set(C.DISK_DISK_HASH_TIME, disk.hashTime)
  set(C.DISK_DISK_JOB_TIME, disk.jobTime)
  set(C.DISK_DISK_BLOCKS_IN_USE, disk.blocksInUse)
  set(C.DISK_QUEUED_DISK_JOBS, disk.queuedJobs)
  set(C.DISK_NUM_RUNNING_DISK_JOBS, disk.runningJobs)
  set(C.DISK_NUM_WRITE_JOBS, disk.writeJobs)
  set(C.DISK_QUEUED_WRITE_BYTES, disk.queuedWriteBytes)
  set(C.NET_LIMITER_UP_QUEUE, limits.managers[0].queueSize())
  set(C.NET_LIMITER_DOWN_QUEUE, limits.managers[1].queueSize())
  set(C.NET_LIMITER_UP_BYTES, limits.managers[0].queuedBytes())
  set(C.NET_LIMITER_DOWN_BYTES, limits.managers[1].queuedBytes())

  const states = new Map<number, number>(STATE_GAUGES.map(index => [index, 0]))
  const count = (index: number) => states.set(index, states.get(index)! + 1)
  for (const torrent of registry.all()) {
    if (torrent.uploadMode && !torrent.isFinished) count(C.SES_NUM_UPLOAD_ONLY_TORRENTS)
    if (torrent.error.failed()) count(C.SES_NUM_ERROR_TORRENTS)
    else if (torrent.isPaused && !torrent.autoManaged) count(C.SES_NUM_STOPPED_TORRENTS)
    else if (torrent.isPaused) {
      count(torrent.isFinished ? C.SES_NUM_QUEUED_SEEDING_TORRENTS : C.SES_NUM_QUEUED_DOWNLOAD_TORRENTS)
    } else if (!torrent.ready && torrent.content !== null) count(C.SES_NUM_CHECKING_TORRENTS)
    else if (torrent.isSeed) count(C.SES_NUM_SEEDING_TORRENTS)
    else if (torrent.isFinished) count(C.SES_NUM_UPLOAD_ONLY_TORRENTS)
    else count(C.SES_NUM_DOWNLOADING_TORRENTS)
  }
  for (const [index, value] of states) set(index, value)
}

const STATE_GAUGES = [
  C.SES_NUM_CHECKING_TORRENTS,
  C.SES_NUM_STOPPED_TORRENTS,
  C.SES_NUM_UPLOAD_ONLY_TORRENTS,
  C.SES_NUM_DOWNLOADING_TORRENTS,
  C.SES_NUM_SEEDING_TORRENTS,
  C.SES_NUM_QUEUED_SEEDING_TORRENTS,
  C.SES_NUM_QUEUED_DOWNLOAD_TORRENTS,
  C.SES_NUM_ERROR_TORRENTS,
]
