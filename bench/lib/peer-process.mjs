/** A peer in a process of its own, and what it uses. */

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Ticks a second in /proc; fixed on Linux. */
const HERTZ = 100
const SAMPLE_MS = 50
/** Threads that Node starts before it runs a program; V8 compiles and collects garbage on them. */
const NODE_THREADS = 6

const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class PeerProcess {
  #child
  #text = ''
  #events = []
  #waiting = null
  #ended = null
  /** Peak of memory that is not mapped from files, MiB. */
  anonMiB = 0
  #sampler

  constructor(command, args) {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    running.add(child)
    child.on('exit', (code, signal) => {
      running.delete(child)
      this.#ended = `ended with ${code ?? signal}`
      this.#waiting?.()
    })
    child.on('error', error => {
      this.#ended = error.message
      this.#waiting?.()
    })
    child.stdin.on('error', () => {})
    child.stdout.setEncoding('utf8').on('data', text => {
      const lines = (this.#text + text).split('\n')
      this.#text = lines.pop()
      for (const line of lines) if (line.startsWith('{')) this.#events.push(JSON.parse(line))
      this.#waiting?.()
    })
    this.#sampler = setInterval(() => {
      this.anonMiB = Math.max(this.anonMiB, this.memory().RssAnon ?? 0)
    }, SAMPLE_MS)
    this.#sampler.unref()
  }

  /** The next event, which must be of that name. */
  async event(name, timeoutMs = 180_000) {
    const deadline = setTimeout(() => {
      this.#ended ??= `said no ${name} within ${timeoutMs} ms`
      this.#waiting?.()
    }, timeoutMs)
    while (this.#events.length === 0 && this.#ended === null) await new Promise(resolve => (this.#waiting = resolve))
    clearTimeout(deadline)
    const event = this.#events.shift()
    if (event?.event !== name)
      throw new Error(`peer ${this.#child.spawnargs.join(' ')}: ${this.#ended ?? event?.event}`)
    return event
  }

  say(line) {
    this.#child.stdin.write(`${line}\n`)
  }

  /** User and system seconds so far. */
  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) / HERTZ
  }

  /** User and system seconds so far of a process of Node: its main thread, V8's own, and its workers'. */
  threadSeconds() {
    const { pid } = this.#child
    const out = { main: 0, v8: 0, workers: 0 }
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').split(') ')[1].split(' ')
      const kind = Number(thread) === pid ? 'main' : Number(thread) <= pid + NODE_THREADS ? 'v8' : 'workers'
      out[kind] += (Number(fields[11]) + Number(fields[12])) / HERTZ
    }
    return out
  }

  /** MiB, by the names of /proc/PID/status. */
  memory() {
    const out = {}
    try {
      for (const line of readFileSync(`/proc/${this.#child.pid}/status`, 'latin1').split('\n')) {
        const [name, value] = line.split(':')
        if (name.startsWith('Vm') || name.startsWith('Rss')) out[name] = Number.parseInt(value, 10) / 1024
      }
    } catch {
      // it has ended
    }
    return out
  }

  async stop() {
    clearInterval(this.#sampler)
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.stdin.end()
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await exit
    clearTimeout(force)
  }
}
