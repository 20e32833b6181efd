/** What libtorrent itself makes of torrents, magnet links and resume data: see lt_tool.py. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { python } from './child.ts'

const SCRIPT = fileURLToPath(new URL('./lt_tool.py', import.meta.url))

export interface LtFile {
  readonly path: string
  readonly size: number
  readonly offset: number
  readonly flags: number
  /** Hex; empty unless v2. */
  readonly root: string
}

export interface LtTorrent {
  /** Hex; empty if the torrent has none. */
  readonly v1: string
  readonly v2: string
  readonly name: string
  readonly pieceLength: number
  readonly numPieces: number
  readonly totalSize: number
  readonly files: readonly LtFile[]
  readonly pieces: readonly string[]
  readonly comment: string
  readonly creator: string
  readonly trackers: readonly [string, number][]
  readonly webSeeds: readonly string[]
  readonly nodes: readonly [string, number][]
  readonly private: boolean
  /** SHA-256 of the info dictionary as it is in the file. */
  readonly info: string
}

export interface LtParams {
  readonly v1: string
  readonly v2: string
  readonly name: string
  readonly savePath: string
  readonly trackers: readonly string[]
  readonly tiers: readonly number[]
  readonly urlSeeds: readonly string[]
  readonly peers: readonly [string, number][]
  readonly dhtNodes: readonly [string, number][]
  readonly filePriorities: readonly number[]
  readonly piecePriorities: readonly number[]
  readonly havePieces: readonly boolean[]
  readonly verifiedPieces: readonly boolean[]
  readonly unfinishedPieces: Readonly<Record<string, boolean[]>>
  readonly renamedFiles: Readonly<Record<string, string>>
  readonly flags: number
  readonly storageMode: number
  readonly uploadLimit: number
  readonly downloadLimit: number
  readonly maxConnections: number
  readonly maxUploads: number
  readonly totalUploaded: number
  readonly totalDownloaded: number
  readonly activeTime: number
  readonly finishedTime: number
  readonly seedingTime: number
  readonly addedTime: number
  readonly completedTime: number
  readonly lastSeenComplete: number
  readonly numComplete: number
  readonly numIncomplete: number
  readonly numDownloaded: number
  readonly lastDownload: number
  readonly lastUpload: number
  readonly info: string
}

export interface LtCreate {
  readonly parent: string
  readonly files: readonly { path: string; size: number; flags?: number; mtime?: number; symlink?: string }[]
  readonly pieceSize: number
  readonly flags: readonly string[]
  readonly trackers?: readonly [string, number][]
  readonly comment?: string
  readonly private?: boolean
}

const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const decode = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))

export const ltTool = {
  describe: (torrent: Uint8Array) => ask<LtTorrent>('describe', { torrent: encode(torrent) }),
  create: (options: LtCreate) => decode(ask<string>('create', options)),
  parseMagnet: (uri: string) => ask<LtParams>('parse_magnet', { uri }),
  makeMagnet: (torrent: Uint8Array) => ask<string>('make_magnet', { torrent: encode(torrent) }),
  readResume: (data: Uint8Array) => ask<LtParams>('read_resume', { data: encode(data) }),
  /** @param fields of `add_torrent_params`, by libtorrent's names */
  writeResume: (torrent: Uint8Array | null, fields: object) =>
    decode(ask<string>('write_resume', { torrent: torrent === null ? '' : encode(torrent), fields })),
}

function ask<T>(operation: string, args: object): T {
  const input = JSON.stringify([[operation, args]])
  const run = spawnSync(python(), [SCRIPT], { input, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 60_000 })
  if (run.status !== 0) throw new Error(`libtorrent, ${operation}: ${run.error?.message ?? run.stderr}`)
  return (JSON.parse(run.stdout) as [T])[0]
}
