/** `verify`: checks every piece of a torrent on disk. */

import { type Stats, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type AddTorrentParams,
  AlertCategory,
  FileFlags,
  Session,
  TorrentFlags,
  TorrentHandle,
  type TorrentInfo,
  TorrentStatus,
} from '../index.ts'
import { formatBytes, formatRanges, printable } from './format.ts'
import { type CommandContext, CommandError } from './io.ts'
import { hashName, loadSource } from './torrent-source.ts'
import { createDisplay, type Display } from './ui.ts'

/** Options of `verify`. */
export interface VerifyOptions {
  readonly savePath: string
}

/** What is wrong with a file, apart from what is in it. */
interface FileFault {
  readonly index: number
  readonly path: string
  readonly fault: 'missing' | 'too short' | 'too long' | 'not a file'
  readonly size: number
}

/** Bad files that are named one by one. */
const MAX_LISTED_FILES = 100

/** @returns the exit code: 1 if not all of it is there and right */
export async function verify(source: string, options: VerifyOptions, ctx: CommandContext): Promise<number> {
  const params = await loadSource(source, ctx.interrupt)
  const { ti } = params
  if (ti === null) throw new CommandError('a magnet link does not say what is in the torrent: give the .torrent file')
  const faults = findFaults(ti, options.savePath)
  const display = await createDisplay(ctx)
  let pieces: readonly boolean[]
  try {
    pieces = await check(params, ti, options.savePath, display, ctx.interrupt)
  } finally {
    display.finish()
    // a session makes files that are empty: they were not there, and are not to be
    for (const { path, size, fault } of faults) {
      if (fault === 'missing' && size === 0) await rm(join(options.savePath, path), { force: true })
    }
  }
  return report(ti, pieces, faults, display)
}

function findFaults(ti: TorrentInfo, savePath: string): FileFault[] {
  const files = ti.files()
  const faults: FileFault[] = []
  for (let index = 0; index < files.numFiles(); index++) {
    if ((files.fileFlags(index) & (FileFlags.flagPadFile | FileFlags.flagSymlink)) !== 0) continue
    const path = files.filePath(index)
    const size = files.fileSize(index)
    const fault = faultOf(statOf(join(savePath, path)), size)
    if (fault !== null) faults.push({ index, path, fault, size })
  }
  return faults
}

function statOf(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null
}

function faultOf(stat: Stats | null, size: number): FileFault['fault'] | null {
  if (stat === null) return 'missing'
  if (!stat.isFile()) return 'not a file'
  if (stat.size < size) return 'too short'
  return stat.size > size ? 'too long' : null
}

/** Lets a session that talks to nobody check the files. @returns which pieces are right */
async function check(
  params: AddTorrentParams,
  ti: TorrentInfo,
  savePath: string,
  display: Display,
  interrupt: AbortSignal,
): Promise<boolean[]> {
  const session = new Session({
    listen_interfaces: '',
    enable_dht: false,
    enable_lsd: false,
    enable_upnp: false,
    enable_natpmp: false,
    alert_mask: AlertCategory.error | AlertCategory.status | AlertCategory.storage,
  })
  params.savePath = savePath
  params.trackers = []
  params.urlSeeds = []
  params.dhtNodes = []
  params.flags =
    (TorrentFlags.defaultFlags & ~(TorrentFlags.paused | TorrentFlags.autoManaged)) | TorrentFlags.stopWhenReady
  try {
    const checked = new Promise<void>((resolve, reject) => {
      session.on('torrent_checked', () => resolve())
      session.on('torrent_error', alert => reject(new CommandError(alert.message())))
      session.on('file_error', alert => reject(new CommandError(alert.message())))
      interrupt.addEventListener('abort', () => reject(new CommandError('stopped')))
    })
    const handle = session.addTorrent(params)
    const startedAt = performance.now()
    const timer = setInterval(() => showProgress(handle, ti, startedAt, display), display.intervalMs)
    try {
      await checked
    } finally {
      clearInterval(timer)
    }
    return handle.status(TorrentHandle.queryPieces).pieces
  } finally {
    await session.close()
  }
}

function showProgress(handle: TorrentHandle, ti: TorrentInfo, startedAt: number, display: Display): void {
  const { progress, state } = handle.status(0)
  if (state !== TorrentStatus.checkingFiles) return
  const totalBytes = ti.totalSize()
  const doneBytes = Math.floor(totalBytes * progress)
  const rate = (doneBytes * 1000) / (performance.now() - startedAt)
  display.update([{ name: ti.name(), state: 'checking', progress, doneBytes, totalBytes, rate }])
}

function report(ti: TorrentInfo, pieces: readonly boolean[], faults: readonly FileFault[], display: Display): number {
  const bad: number[] = []
  for (let piece = 0; piece < ti.numPieces(); piece++) if (pieces[piece] !== true) bad.push(piece)
  const files = badFiles(ti, bad, faults)
  const ok = bad.length === 0 && !faults.some(({ fault }) => fault !== 'too long')
  const name = ti.name()
  const what = `${ti.numPieces()} pieces, ${formatBytes(ti.sizeOnDisk())}`
  const text = ok ? `${name} is whole: ${what}` : `${name} is not whole: ${bad.length} of ${what} are bad`
  const lines = [text]
  if (bad.length > 0) lines.push(`bad pieces: ${formatRanges(bad)}`)
  for (const file of files.slice(0, MAX_LISTED_FILES)) lines.push(`  ${printable(file.path)}: ${file.fault}`)
  if (files.length > MAX_LISTED_FILES) lines.push(`  and ${files.length - MAX_LISTED_FILES} files more`)
  display.note('verified', lines.join('\n'), {
    ok,
    name,
    infoHash: hashName(ti.infoHashes()),
    numPieces: ti.numPieces(),
    badPieces: bad,
    badFiles: files,
  })
  return ok ? 0 : 1
}

/** Files that are not as they should be, in order. */
function badFiles(
  ti: TorrentInfo,
  badPieces: readonly number[],
  faults: readonly FileFault[],
): { readonly index: number; readonly path: string; readonly fault: string }[] {
  const layout = ti.files()
  const found = new Map<number, string>(faults.map(({ index, fault }) => [index, fault]))
  for (const piece of badPieces) {
    for (const { fileIndex, size } of layout.mapBlock(piece, 0, layout.pieceSize(piece))) {
      if (size > 0 && !layout.padFileAt(fileIndex) && !found.has(fileIndex)) found.set(fileIndex, 'in a bad piece')
    }
  }
  const inOrder = [...found].sort(([a], [b]) => a - b)
  return inOrder.map(([index, fault]) => ({ index, path: layout.filePath(index), fault }))
}
