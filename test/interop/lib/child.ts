/** Child processes of tests: they end with the test process, whatever becomes of it, and what they said can be waited for. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const SAID_LIMIT = 64 * 1024

export class Child {
  readonly name: string
  readonly process: ChildProcess
  /** The last it printed, for messages of failure. */
  said = ''
  #line = ''
  readonly #onLine: (line: string) => void

  /** @param onLine gets each line of standard output */
  constructor(command: string, args: readonly string[], onLine: (line: string) => void = () => {}, cwd?: string) {
    this.name = command.slice(command.lastIndexOf('/') + 1)
    this.#onLine = onLine
    // the kernel ends it when this process ends, even when that is by SIGKILL
    this.process = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      cwd,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    this.process.stdin!.on('error', () => {})
    this.process.on('error', error => this.#keep(error.message))
    this.process.once('close', () => {
      this.ended = true
    })
  }

  get pid(): number {
    return this.process.pid ?? 0
  }

  /** Whether it has ended and all that it printed was heard. */
  ended = false

  /** How it ended, for messages. */
  get outcome(): string {
    const { exitCode, signalCode } = this.process
    return signalCode === null ? `ended with code ${exitCode}` : `was ended by ${signalCode}`
  }

  tell(command: object): void {
    this.process.stdin!.write(JSON.stringify(command) + '\n')
  }

  /** Ends it, if need be by force after a second. */
  async stop(): Promise<void> {
    if (this.ended) return
    const exit = new Promise(resolve => this.process.once('close', resolve))
    this.process.stdin!.end()
    this.process.kill('SIGTERM')
    const force = setTimeout(() => this.process.kill('SIGKILL'), 1000)
    await exit
    clearTimeout(force)
  }

  #hear(text: string): void {
    this.#keep(text)
    const lines = (this.#line + text).split('\n')
    this.#line = lines.pop()!
    for (const line of lines) this.#onLine(line)
  }

  #keep(text: string): void {
    this.said = (this.said + text).slice(-SAID_LIMIT)
  }
}

/** Waits for a condition, looking often; fails with `what` and what the children said. */
export async function until<T>(
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  options: { timeoutMs?: number; children?: readonly Child[]; tell?: () => string } = {},
): Promise<T> {
  const timeout = options.timeoutMs ?? 60_000
  const from = performance.now()
  for (;;) {
    const found = await look()
    if (found !== null && found !== undefined && found !== false) return found
    const dead = options.children?.find(child => child.ended)
    if (dead !== undefined || performance.now() - from > timeout) {
      const why = dead === undefined ? `not within ${timeout} ms` : `${dead.name} ${dead.outcome}`
      const said = (options.children ?? []).map(child => `--- ${child.name}:\n${child.said.slice(-3000)}`)
      throw new Error([`${what}: ${why}`, options.tell?.() ?? '', ...said].join('\n'))
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const PYTHON = process.env['PYTHON'] ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')

/** Python with Debian's libtorrent. */
export function python(): string {
  return PYTHON
}

const PROBES = {
  libtorrent: () => [PYTHON, '-c', 'import libtorrent'],
  transmission: () => ['transmission-daemon', '--version'],
  aria2: () => ['aria2c', '--version'],
  opentracker: () => ['sh', '-c', 'command -v opentracker'],
  mktorrent: () => ['sh', '-c', 'command -v mktorrent'],
}

export type Client = keyof typeof PROBES

const found = new Map<Client, boolean>()

/**
 * Whether tests against these clients can run here.
 *
 * Elsewhere a missing client is a reason to leave its tests out; where CI is set they run, and fail.
 */
export function canTest(...clients: Client[]): boolean {
  const missing = clients.filter(client => !isInstalled(client))
  if (missing.length === 0) return true
  const what = `not installed: ${missing.join(', ')} (on Debian: python3-libtorrent transmission-daemon aria2 opentracker mktorrent)`
  if (process.env['CI'] !== undefined) throw new Error(what)
  console.warn(what)
  return false
}

function isInstalled(client: Client): boolean {
  let known = found.get(client)
  if (known === undefined) {
    const [command, ...args] = PROBES[client]()
    known = spawnSync(command!, args, { stdio: 'ignore' }).status === 0
    found.set(client, known)
  }
  return known
}
