/**
 * `demo`: the whole way of a torrent on one machine. A tracker runs here; one process seeds, another downloads, and
 * what arrives is compared with what was sent.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { CreateTorrent, listFiles, setPieceHashes } from '../index.ts'
import { formatBytes } from './format.ts'
import { type CommandContext, CommandError, printJson, printLine } from './io.ts'

const MIB = 1024 * 1024
const FILES: readonly (readonly [path: string, size: number])[] = [
  ['sample/film.bin', 200 * MIB],
  ['sample/sound/track 1.bin', 40 * MIB + 12_345],
  ['sample/sound/track 2.bin', 15 * MIB + 1],
  ['sample/read me.txt', 1000],
]
/** The package with the tracker. Only the demo needs it, so it is no dependency of this one. */
const TRACKER_PACKAGE = 'bittorrent-tracker'
/** Nothing but the loopback interface is used. */
const LOCAL = ['enable_dht', 'enable_lsd', 'enable_upnp', 'enable_natpmp'].flatMap(name => ['--set', `${name}=false`])
const STEP_TIMEOUT_MS = 60_000
const DOWNLOAD_TIMEOUT_MS = 180_000
const EXIT_TIMEOUT_MS = 10_000

/** What is used of the tracker package. */
interface TrackerServer {
  readonly http: { address(): AddressInfo }
  listen(port: number, host: string, onListening: () => void): void
  on(event: 'start' | 'complete', listener: (address: string) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  close(done: () => void): void
}

/** @returns the exit code */
export async function demo(ctx: CommandContext): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'libtorrent-ts-demo-'))
  const run = new DemoRun(folder, ctx)
  try {
    await run.run()
    return 0
  } finally {
    await run.cleanUp()
  }
}

class DemoRun {
  readonly #folder: string
  readonly #ctx: CommandContext
  readonly #interrupt: AbortSignal
  readonly #children: ChildProcess[] = []
  #tracker: TrackerServer | null = null
  #step = 0

  constructor(folder: string, ctx: CommandContext) {
    this.#folder = folder
    this.#ctx = ctx
    // asked for before anything is written that would have to be removed
    this.#interrupt = ctx.interrupt
  }

  async run(): Promise<void> {
    const tracker = await this.#startTracker()
    const url = `http://127.0.0.1:${tracker.http.address().port}/announce`
    const total = FILES.reduce((sum, [, size]) => sum + size, 0)
    this.#say('data', `writing ${FILES.length} files with ${formatBytes(total)} of sample data`)
    const source = join(this.#folder, 'seed')
    for (const [path, size] of FILES) await this.#writeRandom(join(source, path), size)

    this.#say('create', `making a torrent of them for the tracker at ${url}`)
    const torrentFile = join(this.#folder, 'sample.torrent')
    await this.#createTorrent(join(source, 'sample'), url, torrentFile)

    this.#say('seed', 'seeding it from another process')
    const announced = new Promise<void>(resolve => tracker.on('start', () => resolve()))
    const seeder = this.#spawn(
      ['seed', torrentFile, '--save-path', source, '--listen', '127.0.0.1:0', '--json'],
      'pipe',
    )
    await this.#bounded(
      Promise.race([announced, failureOf(seeder)]),
      STEP_TIMEOUT_MS,
      'the seed did not announce itself',
    )

    this.#say('download', 'downloading it in a third process, which finds the seed through the tracker')
    const target = join(this.#folder, 'download')
    await mkdir(target)
    const json = this.#ctx.json ? ['--json'] : []
    const args = ['download', torrentFile, '--save-path', target, '--listen', '127.0.0.1:0', ...json]
    const code = await this.#bounded(exitOf(this.#spawn(args, 'inherit')), DOWNLOAD_TIMEOUT_MS, 'it took too long')
    if (code !== 0) throw new CommandError(`the download failed with exit code ${code}`)

    this.#say('verify', 'comparing every byte')
    for (const [path] of FILES) await compareFiles(join(source, path), join(target, path))
    this.#say('done', `all ${FILES.length} files arrived as they were sent`)
  }

  /** Ends what was started and removes what was written, however far it came. */
  async cleanUp(): Promise<void> {
    await Promise.all(this.#children.map(endChild))
    const tracker = this.#tracker
    if (tracker !== null) await new Promise<void>(resolve => tracker.close(resolve))
    await rm(this.#folder, { recursive: true, force: true })
  }

  #say(step: string, text: string): void {
    this.#step++
    if (this.#ctx.json) printJson(this.#ctx, { event: 'demo', step, message: text })
    else printLine(this.#ctx, `${this.#step}. ${text}`)
  }

  async #startTracker(): Promise<TrackerServer> {
    let module: { default: new (options: object) => TrackerServer }
    // a name that is looked up at run time: who installs this package need not have that one
    const specifier: string = `${TRACKER_PACKAGE}/server`
    try {
      module = await import(specifier)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
      throw new CommandError(
        `the demo needs a tracker, which is a package of its own: run "npm install ${TRACKER_PACKAGE}" where ` +
          'libtorrent-ts is installed (with --global if that is), then try again',
      )
    }
    const tracker = new module.default({ http: true, udp: false, ws: false, stats: false })
    await new Promise<void>((resolve, reject) => {
      tracker.on('error', reject)
      tracker.listen(0, '127.0.0.1', resolve)
    })
    this.#tracker = tracker
    return tracker
  }

  async #writeRandom(path: string, size: number): Promise<void> {
    await mkdir(dirname(path), { recursive: true })
    const file = await open(path, 'w')
    try {
      for (let at = 0; at < size; at += MIB) {
        this.#throwIfInterrupted()
        const chunk = randomFillSync(new Uint8Array(Math.min(MIB, size - at)))
        await file.writeFile(chunk)
      }
    } finally {
      await file.close()
    }
  }

  async #createTorrent(path: string, tracker: string, output: string): Promise<void> {
    const torrent = new CreateTorrent(listFiles(path), 0, CreateTorrent.v1Only)
    torrent.addTracker(tracker)
    await setPieceHashes(torrent, dirname(path), { signal: this.#interrupt })
    await writeFile(output, torrent.generateBuf())
  }

  #spawn(args: readonly string[], output: 'pipe' | 'inherit'): ChildProcess {
    // this very command, wherever it was started from
    const child = spawn(process.execPath, [process.argv[1]!, ...args, ...LOCAL], {
      stdio: ['ignore', output, 'inherit'],
    })
    this.#children.push(child)
    return child
  }

  #throwIfInterrupted(): void {
    if (this.#interrupt.aborted) throw new CommandError('stopped')
  }

  async #bounded<T>(work: Promise<T>, ms: number, failure: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const stopped = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new CommandError(failure)), ms)
      this.#interrupt.addEventListener('abort', () => reject(new CommandError('stopped')))
    })
    try {
      this.#throwIfInterrupted()
      return await Promise.race([work, stopped])
    } finally {
      clearTimeout(timer)
    }
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve, reject) => {
    child.once('exit', code => resolve(code))
    child.once('error', reject)
  })
}

/** Rejects with what the process said when it ends by itself. */
async function failureOf(child: ChildProcess): Promise<never> {
  let last = ''
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) {
      const { event, message } = JSON.parse(line) as { event?: string; message?: string }
      if (event === 'error' && message !== undefined) last = `: ${message}`
    }
  }
  throw new CommandError(`the seed ended with exit code ${await exitOf(child)}${last}`)
}

async function endChild(child: ChildProcess): Promise<void> {
  const exited = exitOf(child)
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), EXIT_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}

/** @throws CommandError if they differ */
async function compareFiles(one: string, other: string): Promise<void> {
  const files = [await open(one), await open(other)] as const
  const buffers = [Buffer.alloc(MIB), Buffer.alloc(MIB)] as const
  try {
    for (;;) {
      const [a, b] = await Promise.all([files[0].read(buffers[0], 0, MIB), files[1].read(buffers[1], 0, MIB)])
      const same = buffers[0].subarray(0, a.bytesRead).equals(buffers[1].subarray(0, b.bytesRead))
      if (!same) throw new CommandError(`${other} differs from ${one}`)
      if (a.bytesRead === 0) return
    }
  } finally {
    await Promise.all(files.map(file => file.close()))
  }
}
