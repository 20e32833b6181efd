import { expect, test } from 'vitest'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { Engine } from '../../../src/session/engine.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SimDisk, SimDrive } from '../../sim/lib/sim-disk.ts'
import { type Simulation, simulate } from '../../sim/lib/simulation.ts'

/** An engine, where its connections start from, and how long its resolver remembers. */
function make(sim: Simulation, settings: SettingsPack) {
  const runtime = sim.host('host')
  const from: (Endpoint | null)[] = []
  const connect = runtime.connect.bind(runtime)
  runtime.connect = options => {
    from.push(options.local ?? null)
    return connect(options)
  }
  const timeouts: number[] = []
  Object.assign(runtime.resolver, { setCacheTimeout: (seconds: number) => void timeouts.push(seconds) })
  const engine = new Engine({
    runtime,
    createDisk: (_settings, door) => new SimDisk(sim.clock, sim.log, new SimDrive(), door),
    settings: { listen_interfaces: '', enable_dht: false, ...settings },
  })
  const dial = (to: Endpoint): void => engine.turn.call(() => engine.connects.connect(to).close())
  return { engine, from, timeouts, dial }
}

test('outgoing connections take turns with the ports from outgoing_port on', () => {
  simulate(1, sim => {
    const { engine, from, dial } = make(sim, { outgoing_port: 7000, num_outgoing_ports: 2 })
    for (let n = 0; n < 4; n++) dial(['10.9.9.9', 1])
    dial(['2001:db8::9', 1])
    engine.turn.call(() => engine.applySettings({ outgoing_interfaces: '10.0.1.1', outgoing_port: 65535 }))
    for (let n = 0; n < 2; n++) dial(['10.9.9.9', 1])
    engine.turn.call(() => engine.applySettings({ outgoing_port: 0 }))
    dial(['10.9.9.9', 1])
    expect(from).toEqual([
      ['0.0.0.0', 7000],
      ['0.0.0.0', 7001],
      ['0.0.0.0', 7002],
      ['0.0.0.0', 7000],
      ['::', 7001],
      ['10.0.1.1', 65535],
      ['10.0.1.1', 65535],
      ['10.0.1.1', 0],
    ])
    engine.turn.call(() => engine.close(() => {}))
    sim.run(10_000)
  })
})

test('resolver_cache_timeout counts from the start', () => {
  simulate(2, sim => {
    const { engine, timeouts } = make(sim, { resolver_cache_timeout: 7 })
    engine.turn.call(() => engine.applySettings({ resolver_cache_timeout: 9 }))
    expect(timeouts).toEqual([7, 9])
    engine.turn.call(() => engine.close(() => {}))
    sim.run(10_000)
  })
})
