/** What the compliance suites run on: two runtimes that can reach each other, and a way to let time pass. */

import type { ErrorCode } from '../../src/core/error-code.ts'
import type { Datagram, DatagramHandler, Listener, ListenHandler, Runtime } from '../../src/core/runtime.ts'
import { createNodeRuntime } from '../../src/runtime/node-runtime.ts'
import { Simulation } from '../sim/lib/simulation.ts'

export interface World {
  readonly a: Runtime
  readonly b: Runtime
  /** Where `b` can be reached by `a`. */
  address(family: 4 | 6): string
  /** Lets things happen until `condition` holds; rejects if it does not within ten seconds. */
  until(condition: () => boolean, what: string): Promise<void>
  /** Lets happen what is under way. */
  settle(): Promise<void>
}

export interface WorldFactory {
  readonly name: string
  make(): World
}

const LIMIT_MS = 10_000
const SETTLE_MS = 40

export const nodeWorld: WorldFactory = {
  name: 'Node, loopback',
  make: () => ({
    a: createNodeRuntime(),
    b: createNodeRuntime(),
    address: family => (family === 4 ? '127.0.0.1' : '::1'),
    until: async (condition, what) => {
      const limit = performance.now() + LIMIT_MS
      while (!condition()) {
        if (performance.now() > limit) throw new Error(`waited in vain for: ${what}`)
        await new Promise(resolve => setTimeout(resolve, 1))
      }
    },
    settle: () => new Promise(resolve => setTimeout(resolve, SETTLE_MS)),
  }),
}

export function simWorld(seed: number): WorldFactory {
  return {
    name: `simulator, seed ${seed}`,
    make: () => {
      const sim = new Simulation(seed)
      const a = sim.host('a')
      const b = sim.host('b')
      return {
        a,
        b,
        address: family => b.host.addresses[family === 4 ? 0 : 1]!,
        until: async (condition, what) => sim.runUntil(condition, LIMIT_MS, what),
        settle: async () => sim.run(1000),
      }
    },
  }
}

/** The worlds each suite is run on. */
export const WORLDS: readonly WorldFactory[] = [nodeWorld, simWorld(1), simWorld(2), simWorld(3)]

/** Listens, or fails the test. */
export async function listen(world: World, at: readonly [string, number], handler: ListenHandler): Promise<Listener> {
  let answer: { error: ErrorCode | null; listener: Listener | null } | null = null
  world.b.listen(at, handler, (error, listener) => {
    answer = { error, listener }
  })
  await world.until(() => answer !== null, 'the answer to listen')
  const { error, listener } = answer!
  if (listener === null) throw new Error(`cannot listen: ${error?.message()}`)
  return listener
}

/** Binds a UDP port, or fails the test. */
export async function bind(
  world: World,
  runtime: Runtime,
  at: readonly [string, number],
  handler: DatagramHandler,
): Promise<Datagram> {
  let answer: { error: ErrorCode | null; socket: Datagram | null } | null = null
  runtime.bindDatagram(at, handler, (error, socket) => {
    answer = { error, socket }
  })
  await world.until(() => answer !== null, 'the answer to bindDatagram')
  const { error, socket } = answer!
  if (socket === null) throw new Error(`cannot bind: ${error?.message()}`)
  return socket
}
