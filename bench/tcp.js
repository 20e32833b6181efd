// Loopback throughput of the library's Stream beside bare node:net: one side writes 1 MiB at a time, the other reads.
//   node bench/tcp.js [--json] [--mib 1024] [--runs 5]

import { createConnection, createServer } from 'node:net'
import { parseArgs } from 'node:util'

const dist = process.env.DIST ?? '../build'
const { createNodeRuntime } = await import(`${dist}/runtime/node-runtime.js`)

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    mib: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '5' },
  },
})
const total = Number(values.mib) << 20
const runs = Number(values.runs)
const chunk = new Uint8Array(1 << 20)
const slices = Array.from({ length: 64 }, (_, i) => chunk.subarray(i << 14, (i + 1) << 14))

/** Writes until `total` bytes are out, one write behind the other. */
function pump(write) {
  let left = total
  const next = () => {
    if (left <= 0) return
    left -= chunk.length
    write(next)
  }
  next()
  next()
}

function ours(views) {
  return new Promise(resolve => {
    const runtime = createNodeRuntime()
    const listening = {
      onAccept(stream) {
        stream.setHandler({ onConnect() {}, onData() {}, onDrain() {}, onClose() {} })
        pump(done => stream.write(views, done))
      },
      onError() {},
    }
    runtime.listen(['127.0.0.1', 0], listening, (error, listener) => {
      if (listener === null) throw new Error(error.message())
      const start = process.hrtime.bigint()
      let got = 0
      const stream = runtime.connect({ to: listener.local })
      stream.setHandler({
        onConnect() {},
        onData(bytes) {
          got += bytes.length
          if (got < total) return
          stream.close()
          listener.close()
          resolve(rate(start))
        },
        onDrain() {},
        onClose() {},
      })
    })
  })
}

function bare(onread) {
  return new Promise(resolve => {
    const server = createServer(socket => {
      socket.on('error', () => {})
      pump(done => socket.write(chunk, done))
    })
    server.listen(0, '127.0.0.1', () => {
      const start = process.hrtime.bigint()
      let got = 0
      const take = count => {
        got += count
        if (got >= total) {
          socket.destroy()
          server.close()
          resolve(rate(start))
        }
        return true
      }
      const { port } = server.address()
      const options = { host: '127.0.0.1', port }
      const socket = createConnection(
        onread ? { ...options, onread: { buffer: new Uint8Array(65536), callback: take } } : options,
      )
      if (!onread) socket.on('data', bytes => take(bytes.length))
    })
  })
}

function rate(start) {
  return total / (Number(process.hrtime.bigint() - start) / 1e9)
}

const subjects = {
  'Stream, whole views': () => ours([chunk]),
  'Stream, 16 KiB views': () => ours(slices),
  "node:net, 'data'": () => bare(false),
  'node:net, onread': () => bare(true),
}
const results = Object.fromEntries(Object.keys(subjects).map(name => [name, []]))
for (let run = 0; run <= runs; run++) {
  for (const [name, measure] of Object.entries(subjects)) {
    const bytesPerSecond = await measure()
    // The first round warms up.
    if (run > 0) results[name].push(bytesPerSecond)
  }
}

const rows = Object.entries(results).map(([name, rates]) => {
  rates.sort((a, b) => a - b)
  return { name, median: rates[rates.length >> 1], min: rates[0], max: rates.at(-1) }
})
if (values.json) {
  console.log(
    JSON.stringify({
      streamBytesPerSecond: rows[0].median,
      streamVectorBytesPerSecond: rows[1].median,
      netBytesPerSecond: rows[2].median,
      netOnreadBytesPerSecond: rows[3].median,
      bytes: total,
      runs,
    }),
  )
} else {
  console.log(`one process, ${values.mib} MiB, median of ${runs}`)
  for (const { name, median, min, max } of rows) {
    const mib = value => `${(value / 2 ** 20).toFixed(0)} MiB/s`
    console.log(`${name.padEnd(24)}${mib(median).padStart(12)}   (${mib(min)} to ${mib(max)})`)
  }
}
