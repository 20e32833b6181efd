// A client for the terminal: peers, pieces, files and alerts of several torrents, with keys to control them.
//
//   node client.js [--port N] [--listen-interface ADDRESS] [--max-download-rate KB] [--max-upload-rate KB]
//                  [--save-path DIR] [--proxy-host HOST:PORT] <file.torrent or magnet link>...
//
// (q)uit, (p)ause, (u)npause, (r)eannounce. What it has is kept in <name>.fastresume beside the data.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  AddTorrentAlert,
  AddTorrentParams,
  AlertCategory,
  type PartialPieceInfo,
  PeerInfo,
  ProxyType,
  parseMagnetUri,
  readResumeData,
  SaveResumeDataAlert,
  SaveResumeDataFailedAlert,
  Session,
  type SettingsPack,
  StateUpdateAlert,
  TorrentFlags,
  type TorrentHandle,
  TorrentInfo,
  TorrentStatus,
  writeResumeDataBuf,
} from 'libtorrent-ts'

const { values: options, positionals: sources } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', short: 'p', default: '6881' },
    'listen-interface': { type: 'string', short: 'i', default: '0.0.0.0' },
    'max-download-rate': { type: 'string', short: 'd', default: '0' },
    'max-upload-rate': { type: 'string', short: 'u', default: '0' },
    'save-path': { type: 'string', short: 's', default: '.' },
    'proxy-host': { type: 'string', short: 'r', default: '' },
  },
})
const savePath = options['save-path']

const settings: SettingsPack = {
  user_agent: 'libtorrent-ts-example',
  listen_interfaces: `${options['listen-interface']}:${options.port}`,
  download_rate_limit: Math.max(0, Math.trunc(Number(options['max-download-rate']) * 1000)),
  upload_rate_limit: Math.max(0, Math.trunc(Number(options['max-upload-rate']) * 1000)),
  alert_mask: AlertCategory.error | AlertCategory.status | AlertCategory.storage | AlertCategory.tracker,
}
if (options['proxy-host'] !== '') {
  const [host = '', port = '8080'] = options['proxy-host'].split(':')
  Object.assign(settings, { proxy_hostname: host, proxy_type: ProxyType.http, proxy_port: Number(port) })
}

const session = new Session(settings)
const torrents = new Map<TorrentHandle, TorrentStatus>()
const log: string[] = []

for (const source of sources) addTorrent(source)
listenForKeys()
let alive = true
process.once('SIGTERM', quit)

while (alive) {
  draw()
  readAlerts()
  await sleep(500)
  session.postTorrentUpdates()
}
await saveAndLeave()

function addTorrent(source: string): void {
  let params = new AddTorrentParams()
  if (source.startsWith('magnet:')) params = parseMagnetUri(source)
  else {
    const info = new TorrentInfo(source)
    try {
      params = readResumeData(readFileSync(resumeFile(info.name())))
    } catch (error) {
      log.push(`no resume data for ${info.name()}: ${(error as Error).message}`)
    }
    params.ti = info
  }
  params.savePath = savePath
  params.flags |= TorrentFlags.duplicateIsError | TorrentFlags.autoManaged
  session.asyncAddTorrent(params)
}

function resumeFile(name: string): string {
  return join(savePath, `${name}.fastresume`)
}

function readAlerts(): void {
  for (const alert of session.popAlerts()) {
    log.push(alert.message())
    if (alert instanceof AddTorrentAlert && alert.handle.isValid()) {
      alert.handle.setMaxConnections(60)
      alert.handle.setMaxUploads(-1)
      torrents.set(alert.handle, alert.handle.status())
    } else if (alert instanceof StateUpdateAlert) {
      for (const status of alert.status) if (status.handle !== null) torrents.set(status.handle, status)
    }
  }
  log.splice(0, log.length - 20)
}

function draw(): void {
  const parts = [...torrents].map(([handle, status]) => drawTorrent(handle, status))
  const line = '-'.repeat(76)
  const clear = process.stdout.isTTY ? '\u001b[2J\u001b[H' : ''
  process.stdout.write(`${clear}${parts.join('')}${line}\n(q)uit, (p)ause, (u)npause, (r)eannounce\n${line}\n`)
  process.stdout.write(log.map(text => `${text}\n`).join(''))
}

function drawTorrent(handle: TorrentHandle, status: TorrentStatus): string {
  let out = `name: ${status.name.slice(0, 40)}\n`
  const states = [
    'queued',
    'checking',
    'getting metadata',
    'downloading',
    'finished',
    'seeding',
    '',
    'checking resume data',
  ]
  if (status.state !== TorrentStatus.seeding) {
    out += `${states[status.state]} ${(status.progress * 100).toFixed(2)} % ${bar(status.progress, 49)}\n`
    out += `total downloaded: ${status.totalDone} bytes\n`
    out += `peers: ${status.numPeers} seeds: ${status.numSeeds} distributed copies: ${status.distributedCopies}\n`
    out += `info-hash: ${status.infoHashes}\nnext announce: ${status.nextAnnounce} s\ntracker: ${status.currentTracker}\n`
  }
  out += `download: ${suffix(status.downloadRate)}/s (${suffix(status.totalDownload)}) `
  out += `upload: ${suffix(status.uploadRate)}/s (${suffix(status.totalUpload)})\n`
  out += drawPeers(handle.getPeerInfo()) + drawQueue(handle.getDownloadQueue())
  if (status.state !== TorrentStatus.seeding) out += drawFiles(handle)
  return `${out}\n`
}

function drawPeers(peers: readonly PeerInfo[]): string {
  const flagNames = [
    [PeerInfo.interesting, 'I'],
    [PeerInfo.choked, 'C'],
    [PeerInfo.remoteInterested, 'i'],
    [PeerInfo.remoteChoked, 'c'],
    [PeerInfo.supportsExtensions, 'e'],
    [PeerInfo.outgoingConnection, 'l'],
  ] as const
  let out = 'down      (total)    up        (total)     q  r flags   block progress   client\n'
  for (const peer of peers) {
    const flags = flagNames.map(([bit, letter]) => ((peer.flags & bit) !== 0 ? letter : '.')).join('')
    const block = peer.downloadingPieceIndex >= 0 ? peer.downloadingProgress / peer.downloadingTotal : 0
    out += `${suffix(peer.downSpeed)}/s (${suffix(peer.totalDownload)}) ${suffix(peer.upSpeed)}/s (${suffix(peer.totalUpload)}) `
    out += `${String(peer.downloadQueueLength).padStart(3)} ${String(peer.uploadQueueLength).padStart(2)} ${flags} `
    out += `${bar(block, 15)} ${new TextDecoder().decode(peer.client).slice(0, 16)}\n`
  }
  return out
}

function drawQueue(pieces: readonly PartialPieceInfo[]): string {
  const states = [' ', '-', '=', '#']
  const row = (piece: PartialPieceInfo) => piece.blocks.map(block => states[block.state] ?? ' ').join('')
  return pieces.map(piece => `${String(piece.pieceIndex).padStart(4)}: [${row(piece)}]\n`).join('')
}

function drawFiles(handle: TorrentHandle): string {
  const files = handle.torrentFile()?.layout()
  if (files === undefined) return ''
  const rows = handle.fileProgress().map((bytes, index) => {
    return `${bar(bytes / Math.max(1, files.fileSize(index)), 20)} ${files.filePath(index)}\n`
  })
  return `\n${rows.join('')}`
}

function bar(progress: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, progress)) * width)
  return '#'.repeat(full) + '-'.repeat(width - full)
}

function suffix(value: number): string {
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (Math.abs(value) < 1000) return `${value.toPrecision(3)} ${unit}`.padStart(8)
    value /= 1000
  }
  return `${value.toPrecision(3)} PB`
}

function listenForKeys(): void {
  if (process.stdin.isTTY) process.stdin.setRawMode(true)
  process.stdin.on('data', bytes => {
    for (const key of bytes.toString()) {
      if (key === 'q' || key === '\u0003') quit()
      for (const handle of torrents.keys()) {
        if (key === 'r') handle.forceReannounce()
        if (key === 'p') handle.pause()
        if (key === 'u') handle.resume()
      }
    }
  })
}

function quit(): void {
  alive = false
}

async function saveAndLeave(): Promise<void> {
  process.stdin.pause()
  session.pause()
  const waiting = new Set<TorrentHandle>()
  for (const [handle, status] of torrents) {
    if (!handle.isValid() || !status.hasMetadata) continue
    handle.saveResumeData()
    waiting.add(handle)
  }
  while (waiting.size > 0) {
    if (!(await session.waitForAlert(5000))) break
    for (const alert of session.popAlerts()) {
      if (alert instanceof SaveResumeDataAlert) {
        const name = torrents.get(alert.handle)?.name ?? ''
        writeFileSync(resumeFile(name), writeResumeDataBuf(alert.params))
        waiting.delete(alert.handle)
      } else if (alert instanceof SaveResumeDataFailedAlert) {
        console.log(`no resume data for ${torrents.get(alert.handle)?.name}: ${alert.error.message()}`)
        waiting.delete(alert.handle)
      }
    }
  }
  await session.close()
}
