// A download over loopback with the built package, in plain JavaScript: does it work on this version of Node at all?
//
//   npm run build && node test/smoke/smoke.mjs

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as lib from '../../dist/index.js'

const LENGTH = 20 * 2 ** 20 + 1
const TIMEOUT_MS = 60_000

const alarm = setTimeout(() => {
  console.error(`not done within ${TIMEOUT_MS / 1000} seconds`)
  process.exit(1)
}, TIMEOUT_MS)

const root = mkdtempSync(join(tmpdir(), 'libtorrent-ts-smoke-'))
const source = join(root, 'sample.bin')
const target = mkdtempSync(join(root, 'target-'))
writeFileSync(source, randomBytes(LENGTH))

const settings = {
  listen_interfaces: '127.0.0.1:0',
  enable_dht: false,
  enable_lsd: false,
  enable_upnp: false,
  enable_natpmp: false,
}
settings.alert_mask = lib.AlertCategory.status | lib.AlertCategory.error

/** @param {import('../../dist/index.js').Session} session */
async function until(session, name) {
  for (;;) {
    await session.waitForAlert(1000)
    for (const alert of session.popAlerts()) {
      assert.ok(!alert.what().endsWith('error'), alert.message())
      if (alert.what() === name) return
    }
  }
}

try {
  for (const [kind, flags] of [
    ['v1', lib.CreateTorrent.v1Only],
    ['hybrid', 0],
  ]) {
    const torrent = new lib.CreateTorrent(lib.listFiles(source), 256 * 1024, flags)
    await lib.setPieceHashes(torrent, root)
    const file = torrent.generateBuf()
    const save = join(target, kind)
    const [seed, leech] = [new lib.Session(settings), new lib.Session(settings)]
    const handles = [
      [seed, root],
      [leech, save],
    ].map(([session, savePath]) => {
      const params = lib.loadTorrentBuffer(file)
      params.savePath = savePath
      return session.addTorrent(params)
    })
    await until(seed, 'torrent_checked')
    handles[1].connectPeer(['127.0.0.1', seed.listenPort()])
    await until(leech, 'torrent_finished')
    assert.ok(readFileSync(join(save, 'sample.bin')).equals(readFileSync(source)), 'the file arrived whole')
    await seed.close()
    await leech.close()
    console.log(`${kind}: ${LENGTH} bytes from one session to another`)
  }
  const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  for (const args of [['--help'], ['demo']]) {
    const run = spawnSync(process.execPath, [command, ...args], { encoding: 'utf8', timeout: TIMEOUT_MS / 2 })
    assert.equal(run.status, 0, `${args}: ${run.stderr}`)
    console.log(`libtorrent-ts ${args}: works`)
  }
} finally {
  rmSync(root, { recursive: true, force: true })
}
clearTimeout(alarm)
console.log(`Node ${process.version}: 1 passed, 0 failed`)
