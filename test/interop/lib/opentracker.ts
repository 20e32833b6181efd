/** Starts opentracker, a tracker in C, on loopback: HTTP and UDP on one port. Debian's build is IPv4 only and wants a list of info-hashes. */

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './net.ts'

export interface Opentracker {
  readonly port: number
  readonly httpUrl: string
  readonly udpUrl: string
  /** Allows these info-hashes (hex) and no others from now on. */
  allow(infoHashes: readonly string[]): Promise<void>
  stop(): Promise<void>
}

export interface OpentrackerOptions {
  /** Hex. */
  readonly infoHashes: readonly string[]
  /** 127.0.0.1 unless given. */
  readonly address?: string
}

export async function startOpentracker(options: OpentrackerOptions): Promise<Opentracker> {
  const address = options.address ?? '127.0.0.1'
  const port = await freePort(address)
  const root = mkdtempSync(join(tmpdir(), 'opentracker-'))
  const whitelist = join(root, 'whitelist')
  const write = (hashes: readonly string[]) => {
    writeFileSync(whitelist, hashes.map(hash => `${hash}\n`).join(''))
    chmodSync(whitelist, 0o644)
  }
  chmodSync(root, 0o755)
  write(options.infoHashes)
  // it changes its root to `-d` and its user to `-u` if it may: the list is named as seen from there
  const args = ['-i', address, '-p', String(port), '-P', String(port), '-d', root, '-u', 'nobody', '-w', 'whitelist']
  const child = spawn('opentracker', args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const last = () => void child.kill('SIGKILL')
  process.once('exit', last)
  child.once('exit', () => process.off('exit', last))
  let output = ''
  child.stdout.on('data', chunk => (output += chunk))
  child.stderr.on('data', chunk => (output += chunk))
  const gone = new Promise<never>((_, reject) => {
    child.on('error', error => reject(new Error(`opentracker: ${error.message}`)))
    child.on('exit', code => reject(new Error(`opentracker ended with ${code}: ${output}`)))
  })
  gone.catch(() => undefined)
  await Promise.race([gone, answers(`http://${address}:${port}/stats`)])
  return {
    port,
    httpUrl: `http://${address}:${port}/announce`,
    udpUrl: `udp://${address}:${port}/announce`,
    async allow(hashes) {
      write(hashes)
      child.kill('SIGHUP')
      await sleep(200)
    },
    async stop() {
      await ended(child)
      rmSync(root, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      await (await fetch(url)).arrayBuffer()
      return
    } catch {
      await sleep(50)
    }
  }
  throw new Error(`nothing answers at ${url}`)
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise(resolve => child.once('exit', resolve))
  child.kill()
  await exit
}
