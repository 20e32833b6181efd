/** Worlds with HTTP servers: raw sockets on Node, so that they can misbehave; scripted ones in the simulator. */

import { createServer, type Socket } from 'node:net'
import type { ServedResponse } from '../sim/lib/sim-http.ts'
import { Simulation } from '../sim/lib/simulation.ts'
import type { HttpWorldFactory } from './http.ts'
import { nodeWorld } from './runtime-worlds.ts'

export const nodeHttpWorld: HttpWorldFactory = {
  name: 'Node, loopback',
  make: () => ({
    ...nodeWorld.make(),
    hostname: 'localhost',
    serve: server =>
      new Promise(resolve => {
        const sockets = new Set<Socket>()
        let connections = 0
        const listening = createServer(socket => {
          const connection = ++connections
          sockets.add(socket)
          socket.on('close', () => sockets.delete(socket))
          socket.on('error', () => socket.destroy())
          let received = Buffer.alloc(0)
          // one request after the other, as they come
          const next = (): boolean => {
            const end = received.indexOf('\r\n\r\n')
            if (end < 0) return false
            const [first = '', ...lines] = received.toString('latin1', 0, end).split('\r\n')
            const headers: Record<string, string> = {}
            for (const line of lines) {
              const colon = line.indexOf(':')
              headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
            }
            const length = Number(headers['content-length'] ?? 0)
            if (received.length < end + 4 + length) return false
            const body = received.subarray(end + 4, end + 4 + length)
            received = received.subarray(end + 4 + length)
            const [method = '', path = ''] = first.split(' ')
            const url = new URL(path, `http://${headers['host']}`)
            const from = socket.remoteAddress ?? ''
            const keep = headers['connection'] !== 'close'
            answer(socket, server({ method, url, headers, body, from, connection }), keep)
            return true
          }
          socket.on('data', chunk => {
            received = Buffer.concat([received, chunk])
            while (next()) {}
          })
        })
        listening.listen(0, '127.0.0.1', () => {
          const { port } = listening.address() as { port: number }
          resolve({
            origin: `http://127.0.0.1:${port}`,
            port,
            stop() {
              listening.close()
              for (const socket of sockets) socket.destroy()
            },
          })
        })
      }),
  }),
}

function answer(socket: Socket, response: ServedResponse, keep: boolean): void {
  if (response.fault === 'silence') return
  if (response.fault === 'reset') {
    socket.resetAndDestroy()
    return
  }
  if (response.fault === 'garbage') {
    socket.end('\x00\xff this is not HTTP\r\n\r\n')
    return
  }
  const body = Buffer.from(response.body ?? '')
  const head = { 'content-length': String(body.length), ...response.headers }
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}`)
  const status = response.status ?? 200
  socket.write(
    `HTTP/1.1 ${status} ${response.statusText ?? (status === 200 ? 'OK' : '')}\r\n${lines.join('\r\n')}\r\n\r\n`,
  )
  const half = body.subarray(0, body.length >> 1)
  if (response.fault === 'stall') socket.write(half)
  else if (response.fault === 'cut') socket.end(half)
  else if (keep && response.headers?.['connection'] !== 'close') socket.write(body)
  else socket.end(body)
}

export function simHttpWorld(seed: number): HttpWorldFactory {
  return {
    name: `simulator, seed ${seed}`,
    make: () => {
      const sim = new Simulation(seed)
      const a = sim.host('a')
      const b = sim.host('b')
      let nextPort = 8000
      sim.names.set('tracker.test', { addresses: [b.host.addresses[0]!] })
      return {
        a,
        b,
        hostname: 'tracker.test',
        address: family => b.host.addresses[family === 4 ? 0 : 1]!,
        until: async (condition, what) => sim.runUntil(condition, 30_000, what),
        settle: async () => sim.run(100),
        serve: async server => {
          const port = nextPort++
          sim.http.listen(b.host, port, server)
          return { origin: `http://${b.host.addresses[0]}:${port}`, port, stop: () => sim.http.close(b.host, port) }
        },
      }
    },
  }
}
