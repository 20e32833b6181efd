/** The metrics of the session statistics that are read off their owners when they are asked for. */

import { BLOCK_SIZE } from '../core/brands.ts'
import * as C from '../stats/counter-ids.ts'
import type { FencedKind } from '../storage/disk-io.ts'
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
  set(C.DISK_NUM_READ_BACK, disk.blocksReadBack)
  set(C.DISK_FILE_POOL_HITS, disk.filePoolHits)
  set(C.DISK_FILE_POOL_MISSES, disk.filePoolMisses)
  set(C.DISK_FILE_POOL_SIZE, disk.filePoolSize)
  set(C.DISK_DISK_READ_TIME, disk.readTime)
  set(C.DISK_DISK_WRITE_TIME, disk.writeTime)
  set(C.DISK_DISK_HASH_TIME, disk.hashTime)
  set(C.DISK_DISK_JOB_TIME, disk.jobTime)
  set(C.DISK_DISK_BLOCKS_IN_USE, disk.blocksInUse)
  set(C.DISK_CACHED_BLOCKS, disk.readCacheBytes / BLOCK_SIZE)
  // what is received lies in memory until its piece is hashed and written, which is one job
  set(C.DISK_NUM_UNHASHED, engine.disk.slots.inUse)
  set(C.DISK_QUEUED_DISK_JOBS, disk.queuedJobs)
  set(C.DISK_NUM_RUNNING_DISK_JOBS, disk.runningJobs)
  set(C.DISK_NUM_READ_JOBS, disk.readJobs)
  set(C.DISK_NUM_WRITE_JOBS, disk.writeJobs)
  set(C.DISK_NUM_JOBS, disk.queuedJobs + disk.runningJobs)
  set(C.DISK_BLOCKED_DISK_JOBS, disk.blockedJobs)
  set(C.DISK_NUM_WRITING_THREADS, disk.writingThreads)
  set(C.DISK_NUM_RUNNING_THREADS, disk.threads)
  for (const [index, kind] of FENCED_GAUGES) set(index, disk.fenced[kind])
  set(C.DISK_QUEUED_WRITE_BYTES, disk.queuedWriteBytes)
  set(C.NET_LIMITER_UP_QUEUE, limits.managers[0].queueSize())
  set(C.NET_LIMITER_DOWN_QUEUE, limits.managers[1].queueSize())
  set(C.NET_LIMITER_UP_BYTES, limits.managers[0].queuedBytes())
  set(C.NET_LIMITER_DOWN_BYTES, limits.managers[1].queuedBytes())
  fillPickerLoops(engine)
  engine.dht.fillGauges()
  fillPeerGauges(engine)
  set(C.SES_NUM_OUTSTANDING_ACCEPT, engine.listen.sockets.filter(socket => socket.listener !== null).length)

  const states = new Map<number, number>(STATE_GAUGES.map(index => [index, 0]))
  const count = (index: number) => states.set(index, states.get(index)! + 1)
  for (const torrent of registry.all()) {
    if (torrent.errors.code.failed()) count(C.SES_NUM_ERROR_TORRENTS)
    else if (torrent.isPaused && !torrent.autoManaged) count(C.SES_NUM_STOPPED_TORRENTS)
    else if (torrent.isPaused) {
      count(torrent.isSeed ? C.SES_NUM_QUEUED_SEEDING_TORRENTS : C.SES_NUM_QUEUED_DOWNLOAD_TORRENTS)
    } else if (!torrent.ready && torrent.content !== null) count(C.SES_NUM_CHECKING_TORRENTS)
    else if (torrent.isSeed) count(C.SES_NUM_SEEDING_TORRENTS)
    else if (torrent.uploadOnly) count(C.SES_NUM_UPLOAD_ONLY_TORRENTS)
    else count(C.SES_NUM_DOWNLOADING_TORRENTS)
  }
  for (const [index, value] of states) set(index, value)
}

function fillPickerLoops({ counters, env }: Engine): void {
  const loops = env.pickerLoops
  counters.set(C.PICKER_PIECE_PICKER_PARTIAL_LOOPS, loops.partial)
  counters.set(C.PICKER_PIECE_PICKER_SUGGEST_LOOPS, loops.suggest)
  counters.set(C.PICKER_PIECE_PICKER_SEQUENTIAL_LOOPS, loops.sequential)
  counters.set(C.PICKER_PIECE_PICKER_REVERSE_RARE_LOOPS, loops.reverseRare)
  counters.set(C.PICKER_PIECE_PICKER_RARE_LOOPS, loops.rare)
  counters.set(C.PICKER_PIECE_PICKER_RAND_START_LOOPS, loops.randStart)
  counters.set(C.PICKER_PIECE_PICKER_RAND_LOOPS, loops.rand)
  counters.set(C.PICKER_PIECE_PICKER_BUSY_LOOPS, loops.busy)
}

/** Connections that wait for the disk: to have something to send, or memory to receive into. */
function fillPeerGauges({ counters, connections }: Engine): void {
  let sending = 0
  let receiving = 0
  for (const peer of connections) {
    if (peer.uploads.queue.readingBytes > 0 && peer.link.unsentBytes === 0) sending++
    if (peer.receiving.pausedForMemory) receiving++
  }
  counters.set(C.PEER_NUM_PEERS_UP_DISK, sending)
  counters.set(C.PEER_NUM_PEERS_DOWN_DISK, receiving)
}

/** Jobs that have a storage to themselves, by kind. */
const FENCED_GAUGES: readonly (readonly [number, FencedKind])[] = [
  [C.DISK_NUM_FENCED_MOVE_STORAGE, 'moveStorage'],
  [C.DISK_NUM_FENCED_RELEASE_FILES, 'releaseFiles'],
  [C.DISK_NUM_FENCED_DELETE_FILES, 'deleteFiles'],
  [C.DISK_NUM_FENCED_CHECK_FASTRESUME, 'checkFiles'],
  [C.DISK_NUM_FENCED_RENAME_FILE, 'renameFile'],
  [C.DISK_NUM_FENCED_STOP_TORRENT, 'stop'],
  [C.DISK_NUM_FENCED_FILE_PRIORITY, 'setFilePriorities'],
]

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
