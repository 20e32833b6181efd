/** Everything that programs may use. */

export {
  Alert,
  type AlertClass,
  type AlertStatics,
  alertCast,
  numAlertTypes,
  PeerAlert,
  TorrentAlert,
  TrackerAlert,
  userAlertId,
} from './alert/alert.ts'
export type { AlertMap, AlertName } from './alert/alert-map.ts'
export {
  DhtAnnounceAlert,
  DhtBootstrapAlert,
  DhtDirectResponseAlert,
  DhtErrorAlert,
  DhtGetPeersAlert,
  DhtGetPeersReplyAlert,
  DhtImmutableItemAlert,
  DhtLiveNodesAlert,
  DhtLogAlert,
  type DhtLookup,
  DhtMutableItemAlert,
  type DhtNode,
  DhtOutgoingGetPeersAlert,
  DhtPktAlert,
  DhtPutAlert,
  type DhtRoutingBucket,
  DhtSampleInfohashesAlert,
  DhtStatsAlert,
} from './alert/dht-alerts.ts'
export { LogAlert, PeerLogAlert, PickerLogAlert, TorrentLogAlert } from './alert/log-alerts.ts'
export {
  BlockDownloadingAlert,
  BlockFinishedAlert,
  BlockTimeoutAlert,
  BlockUploadedAlert,
  IncomingRequestAlert,
  InvalidRequestAlert,
  LsdPeerAlert,
  PeerBanAlert,
  PeerBlockedAlert,
  PeerConnectAlert,
  PeerDisconnectedAlert,
  PeerErrorAlert,
  PeerSnubbedAlert,
  PeerUnsnubbedAlert,
  RequestDroppedAlert,
  UnwantedBlockAlert,
} from './alert/peer-alerts.ts'
export { PortmapAlert, PortmapErrorAlert, PortmapLogAlert } from './alert/portmap-alerts.ts'
export {
  AlertsDroppedAlert,
  ExternalIpAlert,
  I2pAlert,
  IncomingConnectionAlert,
  ListenFailedAlert,
  ListenSucceededAlert,
  LsdErrorAlert,
  SessionErrorAlert,
  Socks5Alert,
  StateUpdateAlert,
  UdpErrorAlert,
} from './alert/session-alerts.ts'
export { SessionStatsAlert, SessionStatsHeaderAlert } from './alert/stats-alerts.ts'
export {
  CacheFlushedAlert,
  FastresumeRejectedAlert,
  FileCompletedAlert,
  FileErrorAlert,
  FilePrioAlert,
  FilePrioritiesAlert,
  FileProgressAlert,
  FileRenamedAlert,
  FileRenameFailedAlert,
  FileStatusAlert,
  OversizedFileAlert,
  ReadPieceAlert,
  SaveResumeDataAlert,
  SaveResumeDataFailedAlert,
  StorageMovedAlert,
  StorageMovedFailedAlert,
  TorrentDeletedAlert,
  TorrentDeleteFailedAlert,
} from './alert/storage-alerts.ts'
export {
  AddTorrentAlert,
  HashFailedAlert,
  MetadataFailedAlert,
  MetadataReceivedAlert,
  PeerInfoAlert,
  PerformanceAlert,
  PieceAvailabilityAlert,
  PieceFinishedAlert,
  PieceInfoAlert,
  StateChangedAlert,
  TorrentCheckedAlert,
  TorrentConflictAlert,
  TorrentErrorAlert,
  TorrentFinishedAlert,
  TorrentNeedCertAlert,
  TorrentPausedAlert,
  TorrentRemovedAlert,
  TorrentResumedAlert,
  TrackerListAlert,
} from './alert/torrent-alerts.ts'
export {
  DhtReplyAlert,
  ScrapeFailedAlert,
  ScrapeReplyAlert,
  TrackerAnnounceAlert,
  TrackerErrorAlert,
  TrackeridAlert,
  TrackerReplyAlert,
  TrackerWarningAlert,
  UrlSeedAlert,
} from './alert/tracker-alerts.ts'
export { BdecodeError, bdecode, bdecodeNode } from './bencode/bdecode.ts'
export { BdecodeNode } from './bencode/bdecode-node.ts'
export { bencode } from './bencode/bencode.ts'
export { type BencodeInput, type Entry, Preformatted } from './bencode/entry.ts'
export { printEntry } from './bencode/print-entry.ts'
export { Bitfield } from './core/bitfield.ts'
export { InfoHash, Sha1Hash, Sha1Hash as PeerId, Sha256Hash } from './core/digest.ts'
export {
  ed25519AddScalar,
  ed25519CreateKeypair,
  ed25519CreateSeed,
  ed25519KeyExchange,
  ed25519Sign,
  ed25519Verify,
} from './core/ed25519.ts'
export type { Endpoint } from './core/endpoint.ts'
export {
  AddPieceFlags,
  AlertCategory,
  AlertPriority,
  AnnounceFlags,
  BandwidthMixedAlgo,
  ChokingAlgorithm,
  CloseReason,
  ConnectionType,
  CreateTorrentFlags,
  DeadlineFlags,
  DhtModule,
  DiskStatus,
  DownloadPriority,
  EncLevel,
  EncPolicy,
  FileFlags,
  FileOpenMode,
  FileProgressFlags,
  IoBufferMode,
  MetricType,
  MmapWriteMode,
  MoveFlags,
  Operation,
  PauseFlags,
  PeerBlockedReason,
  PeerClassTypeFilterSocketType,
  PerformanceWarning,
  PexFlags,
  PickerFlags,
  PortmapProtocol,
  PortmapTransport,
  ProtocolVersion,
  ProxyType,
  ReannounceFlags,
  RemoveFlags,
  SaveResumeFlags,
  SaveStateFlags,
  SeedChokingAlgorithm,
  SessionFlags,
  SettingTypeBases,
  SocketType,
  StatusFlags,
  StorageMode,
  SuggestMode,
  TorrentFlags,
  TrackerEvent,
  TrackerSource,
  WriteFlags,
} from './core/enums.ts'
export {
  bdecodeCategory,
  ErrorCategory,
  ErrorCode,
  genericCategory,
  gzipCategory,
  httpCategory,
  i2pCategory,
  LibtorrentError,
  libtorrentCategory,
  pcpCategory,
  socksCategory,
  systemCategory,
  upnpCategory,
} from './core/error-code.ts'
export {
  BdecodeErrors,
  GzipErrors,
  HttpErrors,
  I2pErrors,
  LibtorrentErrors,
  PcpErrors,
  SocksErrors,
  UpnpErrors,
} from './core/error-table.ts'
export {
  clientFingerprint,
  Fingerprint,
  generateFingerprint,
  generateFingerprintBytes,
  identifyClient,
} from './core/fingerprint.ts'
export { Hasher, Hasher256 } from './core/hash.ts'
export { OpenFileState } from './core/open-file-state.ts'
export { operationName } from './core/operation.ts'
export type { BlockInfo, PartialPieceInfo } from './core/partial-piece-info.ts'
export { PeerRequest } from './core/peer-request.ts'
export {
  apiVersion,
  defaultBlockSize,
  packageVersion,
  version,
  versionMajor,
  versionMinor,
  versionRevision,
  versionStr,
  versionTiny,
} from './core/version.ts'
export { DhtState } from './dht/dht-state.ts'
export { type SequenceNumber, signMutableItem, verifyMutableItem } from './dht/item.ts'
export type {
  DhtStorageConstructor,
  DhtStorageCounters,
  DhtStorageEnv,
  DhtStorageInterface,
  DhtStorageSettings,
  InfohashesSample,
  StoredMutableItem,
} from './dht/storage.ts'
export { AddTorrentParams, type Bits } from './metainfo/add-torrent-params.ts'
export { CreateFileEntry } from './metainfo/create-file-entry.ts'
export { CreateTorrent } from './metainfo/create-torrent.ts'
export { FileSlice } from './metainfo/file-slice.ts'
export { FileStorage } from './metainfo/file-storage.ts'
export { Filenames } from './metainfo/filenames.ts'
export { addFiles, type FilePredicate, listFiles } from './metainfo/list-files.ts'
export type { LoadTorrentLimits } from './metainfo/load-limits.ts'
export { loadTorrentBuffer, loadTorrentFile, loadTorrentParsed } from './metainfo/load-torrent.ts'
export { type MagnetSource, makeMagnetUri, parseMagnetUri, parseMagnetUriDict } from './metainfo/magnet-uri.ts'
export { RenamedFiles } from './metainfo/renamed-files.ts'
export { readResumeData } from './metainfo/resume-read.ts'
export { writeResumeData, writeResumeDataBuf } from './metainfo/resume-write.ts'
export { TorrentInfo, type TorrentTracker } from './metainfo/torrent-info.ts'
export { type WebSeedEntry, WebSeedType } from './metainfo/web-seed-entry.ts'
export { writeTorrentFile, writeTorrentFileBuf } from './metainfo/write-torrent-file.ts'
export { IpFilter } from './net/ip-filter.ts'
export { type PeerClassInfo, PeerClassTypeFilter } from './net/peer-class.ts'
export { PortFilter } from './net/port-filter.ts'
export {
  defaultDiskIoConstructor,
  dhtDefaultStorageConstructor,
  disabledDiskIoConstructor,
  mmapDiskIoConstructor,
  posixDiskIoConstructor,
  preadDiskIoConstructor,
  Session,
} from './node/session.ts'
export {
  HashFilesError,
  type PieceProgress,
  type SetPieceHashesOptions,
  setPieceHashes,
} from './node/set-piece-hashes.ts'
export { PeerInfo } from './peer/peer-info.ts'
export { addMagnetUri } from './session/add-magnet-uri.ts'
export type { MutableItemData } from './session/dht-operations.ts'
export { SessionProxy } from './session/session-api.ts'
export { type DiskIoConstructor, SessionParams } from './session/session-params.ts'
export {
  readSessionParams,
  type SessionParamsDict,
  writeSessionParams,
  writeSessionParamsBuf,
} from './session/session-state.ts'
export { TorrentHandle, type TrackerLike } from './session/torrent-handle.ts'
export type { SettingsPack } from './settings/pack-type.ts'
export {
  defaultSettings,
  highPerformanceSeed,
  minMemoryUsage,
  nameForSetting,
  parseSetting,
  settingByName,
} from './settings/settings-pack.ts'
export { Counters } from './stats/counters.ts'
export { findMetricIdx, StatsMetric, sessionStatsMetrics } from './stats/metric-table.ts'
export { TorrentStatus } from './torrent/torrent-status.ts'
export { type AnnounceEndpoint, AnnounceEntry, type AnnounceInfohash } from './tracker/announce-entry.ts'
