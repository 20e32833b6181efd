/** Programs as users write them: they need not run, but their types must fit. Compiled by `npm run check`. */

import {
  AddTorrentAlert,
  type AddTorrentParams,
  type Alert,
  AlertCategory,
  type AlertMap,
  type AnnounceEntry,
  addMagnetUri,
  alertCast,
  type BencodeInput,
  bdecode,
  bencode,
  CreateTorrent,
  type Endpoint,
  type Entry,
  type ErrorCode,
  IpFilter,
  LibtorrentError,
  listFiles,
  loadTorrentFile,
  makeMagnetUri,
  type Operation,
  PeerId,
  type PeerInfo,
  parseMagnetUri,
  readResumeData,
  readSessionParams,
  Session,
  type SessionParams,
  type SettingsPack,
  type Sha1Hash,
  StateUpdateAlert,
  setPieceHashes,
  type TorrentFlags,
  type TorrentHandle,
  TorrentInfo,
  type TorrentStatus,
  writeResumeDataBuf,
  writeSessionParamsBuf,
} from 'libtorrent-ts'

export async function simple(path: string): Promise<void> {
  const settings: SettingsPack = {
    listen_interfaces: '0.0.0.0:6881',
    alert_mask: AlertCategory.status,
    enable_dht: false,
  }
  await using session = new Session(settings)
  const params: AddTorrentParams = loadTorrentFile(path)
  params.savePath = '.'
  const handle: TorrentHandle = session.addTorrent(params)
  const status: TorrentStatus = handle.status()
  const rate: number = status.downloadRate
  const peers: PeerInfo[] = handle.getPeerInfo()
  const endpoint: Endpoint = peers[0]?.remoteEndpoint() ?? ['127.0.0.1', rate]
  handle.connectPeer(endpoint)
  const flags: TorrentFlags = handle.flags()
  handle.setFlags(flags, flags)
  const progress: number[] = handle.fileProgress()
  const trackers: AnnounceEntry[] = handle.trackers()
  handle.filePriority(0, handle.filePriority(progress.length + trackers.length))
  // @ts-expect-error: a setting has its type
  session.applySettings({ connections_limit: 'many' })
  // @ts-expect-error: and its name
  session.applySettings({ conections_limit: 1 })
}

export async function alerts(session: Session, signal: AbortSignal): Promise<void> {
  session.on('torrent_finished', alert => alert.handle.pause())
  session.on('file_error', alert => {
    const operation: Operation = alert.op
    const error: ErrorCode = alert.error
    return [operation, error.message(), alert.filename()]
  })
  // @ts-expect-error: there is no such alert
  session.on('torrent_finnished', () => {})
  for await (const alert of session.alerts({ signal })) {
    const added = alertCast(alert, AddTorrentAlert)
    if (added !== null) added.params.savePath = ''
    if (alert instanceof StateUpdateAlert) for (const status of alert.status) status.name.trim()
  }
  const waited: boolean = await session.waitForAlert(1000)
  const popped: Alert[] = waited ? session.popAlerts() : []
  const byName: keyof AlertMap = 'state_update'
  popped.filter(alert => alert.what() === byName)
  await session.abort()
}

export function states(session: Session, buffer: Uint8Array): Uint8Array {
  const params: SessionParams = readSessionParams(buffer)
  params.ipFilter = new IpFilter()
  const resumed: AddTorrentParams = readResumeData(buffer)
  session.asyncAddTorrent(resumed)
  return Uint8Array.from([...writeSessionParamsBuf(session.sessionState()), ...writeResumeDataBuf(resumed)])
}

export async function create(path: string): Promise<Uint8Array> {
  const torrent = new CreateTorrent(listFiles(path), 0)
  torrent.addTracker('http://tracker.invalid/announce', 0)
  await setPieceHashes(torrent, '.', piece => piece + 1, { signal: AbortSignal.timeout(1000) })
  return bencode(torrent.generate())
}

export function older(session: Session): string {
  const info = new TorrentInfo('avatar.torrent')
  const handle = addMagnetUri(session, makeMagnetUri(info), { savePath: '.' })
  const id: PeerId = new PeerId(new Uint8Array(20))
  const hash: Sha1Hash = id
  parseMagnetUri(`magnet:?xt=urn:btih:${info.infoHash()}&dn=${info.name()}`)
  return `${handle.infoHash()}${hash}`
}

export function values(bytes: Uint8Array): BencodeInput {
  const entry: Entry = bdecode(bytes)
  return { entry, list: [1, 2n, 'text', bytes] }
}

export function errors(fn: () => void): ErrorCode | null {
  try {
    fn()
  } catch (error) {
    if (error instanceof LibtorrentError) return error.code
  }
  return null
}
