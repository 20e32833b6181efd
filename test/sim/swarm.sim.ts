import { expect, test } from 'vitest'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { makeTorrent, Swarm } from './lib/swarm.ts'

test('one seed and one leech', () => {
  simulate(1, sim => {
    const swarm = new Swarm(sim, makeTorrent(1_000_000, 65536))
    const seed = swarm.add('seed', { has: 'all' })
    const leech = swarm.add('leech')
    sim.run(2000)
    expect(seed.isSeeding).toBe(true)
    leech.connectTo(seed)
    swarm.complete(60_000)
    swarm.close()
    expect(leech.holds(swarm.torrent)).toBe(true)
  })
})
