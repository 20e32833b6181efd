import { describe, expect, test } from 'vitest'
import { TorrentFlags } from '../../src/core/enums.ts'
import type { TorrentHandle } from '../../src/session/torrent-handle.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { TorrentStatus } from '../../src/torrent/torrent-status.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { addTorrent, makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024

/** A session with `count` auto-managed torrents, which are added paused as programs do. */
function queue(
  sim: Simulation,
  count: number,
  settings: SettingsPack,
  has: 'all' | readonly number[] = [],
  trackers: readonly string[] = [],
): { node: SwarmNode; handles: TorrentHandle[] } {
  const managed = TorrentFlags.autoManaged | TorrentFlags.paused
  const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE, 1, trackers)).add('a', {
    ...(has.length > 0 ? { has } : {}),
    settings,
    params: params => {
      params.flags |= managed
    },
  })
  const handles = [node.handle]
  for (let i = 2; i <= count; i++) {
    handles.push(
      addTorrent(node, makeTorrent(8 * PIECE, PIECE, i, trackers), `/save-${i}`, has, params => {
        params.flags |= managed
      }),
    )
  }
  return { node, handles }
}

function running(handles: readonly TorrentHandle[]): number[] {
  return handles.flatMap((handle, i) => ((handle.flags() & TorrentFlags.paused) === 0 ? [i] : []))
}

describe('the queue', () => {
  test('starts as many downloads as it may, in order, and follows the order', () => {
    simulate(1, sim => {
      const { node, handles } = queue(sim, 6, { active_downloads: 2, dont_count_slow_torrents: false })
      sim.run(3000)
      expect(handles.map(handle => handle.queuePosition())).toEqual([0, 1, 2, 3, 4, 5])
      expect(running(handles)).toEqual([0, 1])
      handles[5]!.queuePositionTop()
      sim.run(1000)
      expect(running(handles)).toEqual([0, 5])
      handles[0]!.queuePositionBottom()
      sim.run(1000)
      expect(handles.map(handle => handle.queuePosition())).toEqual([5, 1, 2, 3, 4, 0])
      expect(running(handles)).toEqual([1, 5])
      handles[3]!.queuePositionUp()
      handles[1]!.queuePositionDown()
      expect(handles.map(handle => handle.queuePosition())).toEqual([5, 2, 3, 1, 4, 0])
      handles[4]!.queuePositionSet(1)
      expect(handles.map(handle => handle.queuePosition())).toEqual([5, 3, 4, 2, 1, 0])
      node.engine.turn.call(() => node.engine.applySettings({ active_downloads: -1 }))
      sim.run(1000)
      expect(running(handles)).toEqual([0, 1, 2, 3, 4, 5])
      node.engine.turn.call(() => node.engine.removeTorrent(handles[2]!.torrent(), 0))
      expect(handles[0]!.queuePosition()).toBe(4)
      node.close()
    })
  })

  test('lets as many seeds run as it may; active_limit holds for both', () => {
    simulate(2, sim => {
      const { node, handles } = queue(sim, 5, { active_seeds: 2, dont_count_slow_torrents: false }, 'all')
      sim.run(10_000)
      for (const handle of handles) expect(handle.status().state).toBe(TorrentStatus.State.seeding)
      expect(running(handles)).toHaveLength(2)
      expect(handles.map(handle => handle.queuePosition())).toEqual([-1, -1, -1, -1, -1])
      node.engine.turn.call(() => node.engine.applySettings({ active_seeds: 10, active_limit: 3 }))
      sim.run(1000)
      expect(running(handles)).toHaveLength(3)
      node.close()
    })
  })

  test('checks one torrent after the other', () => {
    simulate(3, sim => {
      const { node, handles } = queue(sim, 4, { active_checking: 1 }, 'all')
      let most = 0
      for (let i = 0; i < 400; i++) {
        sim.run(5)
        const checking = handles.filter(
          handle => handle.status().state === TorrentStatus.State.checkingFiles && running([handle]).length > 0,
        )
        most = Math.max(most, checking.length)
      }
      expect(most).toBe(1)
      sim.run(10_000)
      for (const handle of handles) expect(handle.status().isSeeding).toBe(true)
      node.close()
    })
  })

  test('does not count torrents that are slow', () => {
    simulate(4, sim => {
      const { node, handles } = queue(sim, 4, {
        active_downloads: 1,
        dont_count_slow_torrents: true,
        auto_manage_startup: 10,
        auto_manage_interval: 5,
      })
      sim.run(5000)
      expect(running(handles)).toEqual([0])
      sim.run(60_000)
      expect(running(handles)).toEqual([0, 1, 2, 3])
      node.close()
    })
  })

  test('that lets a torrent run without its trackers tells them nothing again and again, and resumes it once', () => {
    simulate(5, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const { node, handles } = queue(
        sim,
        3,
        { active_downloads: 3, active_tracker_limit: 1, dont_count_slow_torrents: false, auto_manage_interval: 5 },
        [],
        [tracker.httpUrl],
      )
      sim.run(20_000)
      const first = tracker.announces.length
      sim.run(120_000)
      expect(running(handles)).toEqual([0, 1, 2])
      expect(handles.map(handle => handle.status().announcingToTrackers)).toEqual([true, false, false])
      expect(node.whats().filter(what => what === 'torrent_resumed')).toHaveLength(3)
      expect(tracker.announces.length).toBe(first)
      const hash = String(handles[0]!.infoHash())
      expect(tracker.announces.some(({ infoHash, event }) => infoHash === hash && event === 'stopped')).toBe(false)
      node.close()
    })
  })

  test('does not mark what it decides as worth saving; what the user asks is', () => {
    simulate(6, sim => {
      const { node, handles } = queue(sim, 2, { active_downloads: 1, dont_count_slow_torrents: false })
      sim.run(3000)
      expect(handles.map(handle => handle.status().needSaveResumeData)).toEqual([0, 0])
      handles[1]!.queuePositionTop()
      sim.run(3000)
      expect(running(handles)).toEqual([1])
      expect(handles.map(handle => handle.status().needSaveResumeData)).toEqual([0, 0])
      handles[0]!.unsetFlags(TorrentFlags.autoManaged)
      handles[0]!.resume()
      expect(running(handles)).toEqual([0, 1])
      expect(handles[0]!.status().needSaveResumeData).not.toBe(0)
      node.close()
    })
  })
})
