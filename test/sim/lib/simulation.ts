/** A simulated world: time, network, names and servers from one seed. */

import { SeededRng } from '../../../src/core/rng.ts'
import { EventLog } from './event-log.ts'
import { SimClock } from './sim-clock.ts'
import { SimHttpServers } from './sim-http.ts'
import { type HostOptions, SimNetwork } from './sim-network.ts'
import { SimNames } from './sim-resolver.ts'
import { SimRuntime } from './sim-runtime.ts'

export class Simulation {
  readonly seed: number
  readonly rng: SeededRng
  readonly clock = new SimClock()
  readonly log = new EventLog(this.clock)
  readonly net: SimNetwork
  readonly names = new SimNames()
  readonly http = new SimHttpServers()
  #hosts = 0

  constructor(seed: number) {
    this.seed = seed
    this.rng = new SeededRng(seed)
    this.net = new SimNetwork(this.clock, this.rng.fork('network'), this.log)
  }

  /** Adds a machine. Without options it has one IPv4 and one IPv6 address of its own and a line without limit. */
  host(name: string, options: Partial<HostOptions> = {}): SimRuntime {
    const n = ++this.#hosts
    const addresses = options.addresses ?? [`10.${n >> 8}.${n & 255}.1`, `2001:db8::${n.toString(16)}:1`]
    const host = this.net.addHost(name, { ...options, addresses })
    return new SimRuntime(this.net, host, this.rng.fork(`host ${name}`), this.names, this.http)
  }

  /** Lets `ms` of virtual time pass. */
  run(ms: number): void {
    this.clock.runUntil(this.clock.now() + ms)
  }

  /**
   * Lets time pass until `condition` holds.
   *
   * @throws Error if it does not within `limitMs`, or if nothing is left to happen
   */
  runUntil(condition: () => boolean, limitMs = 600_000, what = 'the condition'): void {
    const limit = this.clock.now() + limitMs
    while (!condition()) {
      if (!this.clock.step(limit)) throw new Error(`${what} did not come about within ${limitMs} ms of virtual time`)
    }
  }

  /** As `runUntil`, for conditions that ask a session: asking is a turn of its own, which may not come after each event. */
  runUntilSo(condition: () => boolean, limitMs = 600_000, what = 'the condition', stepMs = 50): void {
    const limit = this.clock.now() + limitMs
    while (!condition()) {
      if (this.clock.now() >= limit) throw new Error(`${what} did not come about within ${limitMs} ms of virtual time`)
      this.run(stepMs)
    }
  }

  /** As `runUntil`, for conditions that cost too much to be asked after each event. */
  runEverySecond(condition: () => boolean, limitMs: number, what: () => string): void {
    const limit = this.clock.now() + limitMs
    while (!condition()) {
      if (this.clock.now() >= limit) throw new Error(`waited ${limitMs} ms of virtual time in vain for ${what()}`)
      this.run(1000)
    }
  }
}

/**
 * Runs a test in a world of its own. If it fails, the error says the seed and what happened last:
 * `SIM_LOG_LINES` lines of it, 40 by default.
 */
export function simulate(seed: number, test: (sim: Simulation) => void): Simulation {
  const sim = new Simulation(seed)
  try {
    test(sim)
  } catch (error) {
    const story = sim.log.last(Number(process.env['SIM_LOG_LINES'] ?? 40)).join('\n  ')
    const failure = error instanceof Error ? error : new Error(String(error))
    failure.message = `${failure.message}\nseed ${seed}, at ${sim.clock.now()} ms; last events:\n  ${story}`
    throw failure
  }
  return sim
}
