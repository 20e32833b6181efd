/** Runs the built command as its users do: as a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** The built package; `DIST` names another folder with one. */
export const DIST = resolve(process.env['DIST'] ?? join(import.meta.dirname, '../../../dist'))

/** Nothing leaves the machine. */
export const LOCAL = ['enable_dht', 'enable_lsd', 'enable_upnp', 'enable_natpmp'].flatMap(name => [
  '--set',
  `${name}=0`,
])

/** One line of `--json`. */
export interface Event {
  readonly event: string
  readonly message?: string
  readonly [key: string]: unknown
}

/** A running command. */
export class Command {
  readonly child: ChildProcess
  readonly events: Event[] = []
  stdout = ''
  stderr = ''
  readonly exit: Promise<number | null>
  readonly #waiting = new Set<() => void>()

  constructor(args: readonly string[], cwd?: string) {
    this.child = spawn(process.execPath, [join(DIST, 'cli/main.js'), ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const json = args.includes('--json')
    createInterface({ input: this.child.stdout! }).on('line', line => {
      this.stdout += `${line}\n`
      if (json) this.events.push(JSON.parse(line))
      for (const check of this.#waiting) check()
    })
    this.child.stderr!.on('data', bytes => {
      this.stderr += bytes
    })
    this.exit = new Promise(done => this.child.once('close', code => done(code)))
  }

  /** Waits for a line of `--json`. @throws if the command ends without it */
  until(event: string, matches: (found: Event) => boolean = () => true): Promise<Event> {
    return new Promise((done, fail) => {
      const check = () => {
        const found = this.events.find(e => e.event === event && matches(e))
        if (found === undefined) return
        this.#waiting.delete(check)
        done(found)
      }
      this.#waiting.add(check)
      check()
      this.exit.then(code => fail(new Error(`no ${event}, exit code ${code}\n${this.stdout}${this.stderr}`)))
    })
  }
}
