import { expect, test } from 'vitest'
import type { Alert, AlertTorrent } from '../../../src/alert/alert.ts'
import * as dht from '../../../src/alert/dht-alerts.ts'
import * as log from '../../../src/alert/log-alerts.ts'
import * as peer from '../../../src/alert/peer-alerts.ts'
import { PeerLogEvent } from '../../../src/alert/peer-log-events.ts'
import * as portmap from '../../../src/alert/portmap-alerts.ts'
import * as session from '../../../src/alert/session-alerts.ts'
import * as storage from '../../../src/alert/storage-alerts.ts'
import * as torrent from '../../../src/alert/torrent-alerts.ts'
import * as tracker from '../../../src/alert/tracker-alerts.ts'
import { InfoHash, Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import * as enums from '../../../src/core/enums.ts'
import { ErrorCode, errnoError, httpCategory, libtorrentError, NO_ERROR } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { PeerRequest } from '../../../src/core/peer-request.ts'
import { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'

const { Operation, SocketType, PortmapProtocol, PortmapTransport, ProtocolVersion, TrackerEvent } = enums

// only kept, never asked
const handle = {} as AlertTorrent['handle']
const v1Hash = new Sha1Hash('abcdef0123456789abcdef0123456789abcdef01')
const v2Hash = new Sha256Hash('fedcba'.padEnd(64, '0'))
const t: AlertTorrent = { handle, infoHashes: new InfoHash(v1Hash) }
const ep: Endpoint = ['10.0.0.1', 6881]
const ep6: Endpoint = ['2001:db8::1', 80]
const pid = new Sha1Hash('-LT2100-abcdefghijkl')
const failed = libtorrentError(LibtorrentErrors.failedHashCheck)
const noSpace = errnoError('ENOSPC')
const url = 'http://t/announce'
const params = new AddTorrentParams()
params.infoHashes = new InfoHash(v1Hash)
const named = new AddTorrentParams()
named.name = 'a name'
const key = new Uint8Array(32).fill(0xab)
const signature = new Uint8Array(64).fill(0xcd)
const zeroKey = new Uint8Array(32)
const salt = new TextEncoder().encode('salt')
const describe = (value: unknown) => `<${JSON.stringify(value)}>`

// the texts are those of libtorrent 2.1
const cases: readonly (readonly [Alert, string])[] = [
  [new torrent.TorrentRemovedAlert(t, new InfoHash(v1Hash, v2Hash), null), 'fedcba removed'],
  [new torrent.TorrentRemovedAlert(t, new InfoHash(), null), '------ removed'],
  [new torrent.StateChangedAlert(t, 3, 1), 'abcdef: state changed to: downloading'],
  [new torrent.StateChangedAlert(t, 7, 1), 'abcdef: state changed to: checking (r)'],
  [new torrent.HashFailedAlert(t, 5), 'abcdef hash for piece 5 failed'],
  [new torrent.TorrentFinishedAlert(t), 'abcdef torrent finished downloading'],
  [new torrent.PieceFinishedAlert(t, 5), 'abcdef piece: 5 finished downloading'],
  [new torrent.TorrentPausedAlert(t), 'abcdef paused'],
  [new torrent.TorrentResumedAlert(t), 'abcdef resumed'],
  [new torrent.TorrentCheckedAlert(t), 'abcdef checked'],
  [new torrent.TorrentErrorAlert(t, failed, 'file'), 'abcdef ERROR: (2 hash check failed) file'],
  [new torrent.TorrentErrorAlert(t, NO_ERROR, 'file'), 'abcdef ERROR: file'],
  [new torrent.TorrentNeedCertAlert(t), 'abcdef needs SSL certificate'],
  [new torrent.AddTorrentAlert(t, params, NO_ERROR), `added torrent: ${v1Hash}`],
  [new torrent.AddTorrentAlert(t, named, NO_ERROR), 'added torrent: a name'],
  [new torrent.AddTorrentAlert(t, named, failed), 'failed to add torrent "a name": [libtorrent] hash check failed'],
  [new torrent.MetadataFailedAlert(t, failed), 'abcdef invalid metadata received'],
  [new torrent.MetadataReceivedAlert(t), 'abcdef metadata successfully received'],
  [
    new torrent.PerformanceAlert(t, enums.PerformanceWarning.uploadLimitTooLow),
    'abcdef: performance warning: upload limit too low (download rate will suffer)',
  ],
  [
    new torrent.PerformanceAlert(t, enums.PerformanceWarning.tooFewFileDescriptors),
    'abcdef: performance warning: too few file descriptors are allowed for this process. connection limit lowered',
  ],
  [new torrent.TorrentConflictAlert(t, handle, {} as never), 'abcdef has a conflict with another torrent'],
  [new torrent.PeerInfoAlert(t, []), 'abcdef peer_info'],
  [new torrent.PieceInfoAlert(t, [], []), 'abcdef piece_info'],
  [new torrent.PieceAvailabilityAlert(t, []), 'abcdef piece_availability'],
  [new torrent.TrackerListAlert(t, []), 'abcdef tracker_list'],

  [new storage.ReadPieceAlert(t, key, 3, 32, NO_ERROR), 'abcdef: read_piece 3 successful'],
  [
    new storage.ReadPieceAlert(t, new Uint8Array(), 3, 0, noSpace),
    'abcdef: read_piece 3 failed: No space left on device',
  ],
  [new storage.FileCompletedAlert(t, 0), 'abcdef: file 0 finished downloading'],
  [new storage.FileRenamedAlert(t, 0, 'g.bin', 'f.bin'), 'abcdef: file 0 renamed from "f.bin" to "g.bin"'],
  [new storage.FileRenameFailedAlert(t, 0, noSpace), 'abcdef: failed to rename file 0: No space left on device'],
  [new storage.StorageMovedAlert(t, '/new', '/old'), 'abcdef moved storage from "/old" to: "/new"'],
  [
    new storage.StorageMovedFailedAlert(t, noSpace, '/new/f', Operation.fileCopy),
    'abcdef storage move failed. file_copy (/new/f): No space left on device',
  ],
  [new storage.TorrentDeletedAlert(t, t.infoHashes), 'abcdef deleted'],
  [
    new storage.TorrentDeleteFailedAlert(t, noSpace, t.infoHashes),
    'abcdef torrent deletion failed: No space left on device',
  ],
  [new storage.SaveResumeDataAlert(t, params), 'abcdef resume data generated'],
  [
    new storage.SaveResumeDataFailedAlert(t, libtorrentError(LibtorrentErrors.resumeDataNotModified)),
    'abcdef resume data was not generated: fastresume not modified since last save',
  ],
  [
    new storage.FileErrorAlert(t, noSpace, '/f', Operation.fileWrite),
    'abcdef file_write (/f) error: No space left on device',
  ],
  [
    new storage.FastresumeRejectedAlert(
      t,
      libtorrentError(LibtorrentErrors.mismatchingFileSize),
      '/f',
      Operation.checkResume,
    ),
    'abcdef fast resume rejected. check_resume(/f): mismatching file size',
  ],
  [new storage.CacheFlushedAlert(t), 'abcdef'],
  [new storage.FilePrioAlert(t), 'abcdef file priorities updated'],
  [new storage.OversizedFileAlert(t), 'abcdef has an oversized file'],
  [new storage.FileProgressAlert(t, []), 'abcdef file_progress'],
  [new storage.FilePrioritiesAlert(t, []), 'abcdef file_priorities'],
  [new storage.FileStatusAlert(t, []), 'abcdef file_status'],

  [new peer.PeerBanAlert(t, ep, pid), 'abcdef peer 10.0.0.1:6881 banned peer'],
  [new peer.PeerUnsnubbedAlert(t, ep6, pid), 'abcdef peer [2001:db8::1]:80 peer unsnubbed'],
  [new peer.PeerSnubbedAlert(t, ep, pid), 'abcdef peer 10.0.0.1:6881 peer snubbed'],
  [
    new peer.PeerErrorAlert(t, ep, pid, Operation.bittorrent, failed),
    'abcdef peer 10.0.0.1:6881 peer error [bittorrent] [libtorrent]: hash check failed',
  ],
  [
    new peer.PeerConnectAlert(t, ep, pid, SocketType.tcp, peer.PeerConnectAlert.Direction.in),
    'abcdef peer 10.0.0.1:6881 incoming connection to peer (TCP)',
  ],
  [
    new peer.PeerConnectAlert(t, ep, pid, SocketType.utpSsl, peer.PeerConnectAlert.Direction.out),
    'abcdef peer 10.0.0.1:6881 outgoing connection to peer (SSL/uTP)',
  ],
  [
    new peer.PeerDisconnectedAlert(t, ep, pid, Operation.sockRead, SocketType.utp, errnoError('ECONNRESET'), 8),
    'abcdef peer 10.0.0.1:6881 disconnecting (uTP) [sock_read] [system]: Connection reset by peer (reason: 8)',
  ],
  [
    new peer.InvalidRequestAlert(t, ep, pid, new PeerRequest(1, 2, 3), false, true, false),
    "abcdef peer 10.0.0.1:6881 peer sent an invalid piece request (piece: 1 start: 2 len: 3): we don't have piece",
  ],
  [
    new peer.InvalidRequestAlert(t, ep, pid, new PeerRequest(1, 2, 3), true, false, false),
    'abcdef peer 10.0.0.1:6881 peer sent an invalid piece request (piece: 1 start: 2 len: 3): peer is not interested',
  ],
  [
    new peer.InvalidRequestAlert(t, ep, pid, new PeerRequest(1, 2, 3), false, false, true),
    'abcdef peer 10.0.0.1:6881 peer sent an invalid piece request (piece: 1 start: 2 len: 3): super seeding withheld piece',
  ],
  [
    new peer.InvalidRequestAlert(t, ep, pid, new PeerRequest(1, 2, 3), true, true, false),
    'abcdef peer 10.0.0.1:6881 peer sent an invalid piece request (piece: 1 start: 2 len: 3)',
  ],
  [new peer.RequestDroppedAlert(t, ep, pid, 4, 7), 'abcdef peer 10.0.0.1:6881 peer dropped block ( piece: 7 block: 4)'],
  [
    new peer.BlockTimeoutAlert(t, ep, pid, 4, 7),
    'abcdef peer 10.0.0.1:6881 peer timed out request ( piece: 7 block: 4)',
  ],
  [
    new peer.BlockFinishedAlert(t, ep, pid, 4, 7),
    'abcdef peer 10.0.0.1:6881 block finished downloading (piece: 7 block: 4)',
  ],
  [new peer.BlockDownloadingAlert(t, ep, pid, 4, 7), 'abcdef peer 10.0.0.1:6881 requested block (piece: 7 block: 4)'],
  [
    new peer.UnwantedBlockAlert(t, ep, pid, 4, 7),
    'abcdef peer 10.0.0.1:6881 received block not in download queue (piece: 7 block: 4)',
  ],
  [
    new peer.BlockUploadedAlert(t, ep, pid, 4, 7),
    'abcdef peer 10.0.0.1:6881 block uploaded to a peer (piece: 7 block: 4)',
  ],
  [
    new peer.PeerBlockedAlert(t, ep, enums.PeerBlockedReason.invalidLocalInterface),
    'abcdef peer 10.0.0.1:6881: blocked peer [invalid_local_interface]',
  ],
  [new peer.LsdPeerAlert(t, ep), 'abcdef peer 10.0.0.1:6881: received peer from local service discovery'],
  [
    new peer.IncomingRequestAlert(t, ep, pid, new PeerRequest(1, 2, 3)),
    'abcdef peer 10.0.0.1:6881: incoming request [ piece: 1 start: 2 length: 3 ]',
  ],

  [
    new tracker.TrackerErrorAlert(t, ep, ProtocolVersion.V1, url, 2, errnoError('ECONNREFUSED'), '', Operation.connect),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] Connection refused "" (2)',
  ],
  [
    new tracker.TrackerErrorAlert(
      t,
      ep,
      ProtocolVersion.V2,
      url,
      1,
      libtorrentError(LibtorrentErrors.trackerFailure),
      'go away',
      Operation.bittorrent,
    ),
    'abcdef (http://t/announce)[10.0.0.1:6881-v2] tracker sent a failure message "go away" (1)',
  ],
  [
    new tracker.TrackerWarningAlert(t, ep, ProtocolVersion.V1, url, 'careful'),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] warning: careful',
  ],
  [
    new tracker.ScrapeReplyAlert(t, ep, ProtocolVersion.V1, url, 3, -1),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] scrape reply: 3 -1',
  ],
  [
    new tracker.ScrapeFailedAlert(t, ep, ProtocolVersion.V1, url, failed, 'no scrape'),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] scrape failed: no scrape',
  ],
  [
    new tracker.TrackerReplyAlert(t, ep, ProtocolVersion.V1, url, 12),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] received peers: 12',
  ],
  [new tracker.DhtReplyAlert(t, 12), 'abcdef ()[0.0.0.0:0-v1] received DHT peers: 12'],
  [
    new tracker.TrackerAnnounceAlert(t, ep6, ProtocolVersion.V1, url, TrackerEvent.started),
    'abcdef (http://t/announce)[[2001:db8::1]:80-v1] sending announce (started)',
  ],
  [
    new tracker.TrackerAnnounceAlert(t, ep, ProtocolVersion.V1, url, TrackerEvent.paused),
    'abcdef (http://t/announce)[10.0.0.1:6881-v1] sending announce (paused)',
  ],
  [new tracker.TrackeridAlert(t, ep, ProtocolVersion.V1, url, 'id7'), 'trackerid received: id7'],
  [
    new tracker.UrlSeedAlert(t, new ErrorCode(404, httpCategory()), 'http://w/', ''),
    'abcdef url seed (http://w/) failed: 404 Not Found',
  ],

  [
    new session.UdpErrorAlert(ep, Operation.sockRead, errnoError('ECONNREFUSED')),
    'UDP error: Connection refused from: 10.0.0.1 op: sock_read',
  ],
  [new session.ExternalIpAlert('1.2.3.4'), 'external IP received: 1.2.3.4'],
  [
    new session.ListenFailedAlert('eth0', '::1', 6881, Operation.sockBind, errnoError('EADDRINUSE'), SocketType.tcp),
    'listening on [::1]:6881 (device: eth0) failed: [sock_bind] [TCP] Address already in use',
  ],
  [
    new session.ListenSucceededAlert('127.0.0.1', 38375, SocketType.utp),
    'successfully listening on [uTP] 127.0.0.1:38375',
  ],
  [new session.IncomingConnectionAlert(SocketType.tcp, ep), 'incoming connection from 10.0.0.1:6881 (TCP)'],
  [new session.StateUpdateAlert([]), 'state updates for 0 torrents'],
  [new session.SessionErrorAlert(failed, 'x'), 'session error: (2 hash check failed) x'],
  [new session.SessionErrorAlert(NO_ERROR, 'x'), 'session error: x'],
  [
    new session.Socks5Alert(ep, Operation.handshake, errnoError('ECONNREFUSED')),
    'SOCKS5 error. op: handshake ec: Connection refused ep: 10.0.0.1:6881',
  ],
  [new session.I2pAlert(failed), 'i2p_error: [libtorrent] hash check failed'],
  [
    new session.LsdErrorAlert('10.0.0.1', errnoError('EACCES')),
    'Local Service Discovery startup error [10.0.0.1]: Permission denied',
  ],

  [
    new portmap.PortmapErrorAlert(0, PortmapTransport.upnp, failed, '10.0.0.1'),
    'could not map port using UPnP[10.0.0.1]: hash check failed',
  ],
  [
    new portmap.PortmapAlert(0, 6881, PortmapTransport.natpmp, PortmapProtocol.udp, '10.0.0.1'),
    'successfully mapped port using NAT-PMP. local: 10.0.0.1 external port: UDP/6881',
  ],
  [new portmap.PortmapLogAlert(PortmapTransport.upnp, 'text', '10.0.0.1'), 'UPnP [10.0.0.1]: text'],

  [new log.TorrentLogAlert(t, 'text'), 'abcdef: text'],
  [
    new log.PeerLogAlert(
      t,
      ep,
      pid,
      log.PeerLogAlert.Direction.incomingMessage,
      PeerLogEvent.notInterested,
      'piece: 3',
    ),
    'abcdef peer 10.0.0.1:6881 <== NOT_INTERESTED [ piece: 3 ]',
  ],
  [
    new log.PeerLogAlert(t, ep, pid, log.PeerLogAlert.Direction.info, PeerLogEvent.i2pPexDiff, ''),
    'abcdef peer 10.0.0.1:6881 *** I2P_PEX_DIFF [  ]',
  ],
  [
    new log.PickerLogAlert(t, ep, pid, enums.PickerFlags.rarestFirst | enums.PickerFlags.endGame, [
      [1, 2],
      [3, 4],
    ]),
    'abcdef peer 10.0.0.1:6881 picker_log [ rarest_first end_game ] (1,2) (3,4) ',
  ],

  [new dht.DhtAnnounceAlert('1.2.3.4', 80, v1Hash), `incoming dht announce: 1.2.3.4:80 (${v1Hash})`],
  [new dht.DhtGetPeersAlert(v1Hash), `incoming dht get_peers: ${v1Hash}`],
  [new dht.DhtBootstrapAlert(), 'DHT bootstrap complete'],
  [
    new dht.DhtErrorAlert(Operation.hostnameLookup, errnoError('EIO')),
    'DHT error [hostname_lookup] (5) Input/output error',
  ],
  [new dht.DhtImmutableItemAlert(v1Hash, 7, describe), `DHT immutable item ${v1Hash} [ <7> ]`],
  [new dht.DhtImmutableItemAlert(v1Hash, null, describe), `DHT immutable item ${v1Hash} [  ]`],
  [
    new dht.DhtMutableItemAlert(key, signature, 4, salt, 7, true, describe),
    `DHT mutable item (key=${'ab'.repeat(32)} salt=salt seq=4 auth) [ <7> ]`,
  ],
  [
    new dht.DhtPutAlert(v1Hash, zeroKey, new Uint8Array(64), new Uint8Array(), 0, 8),
    `DHT put complete (success=8 hash=${v1Hash})`,
  ],
  [
    new dht.DhtPutAlert(new Sha1Hash(), key, signature, salt, 4, 8),
    `DHT put complete (success=8 key=${'ab'.repeat(32)} sig=${'cd'.repeat(64)} salt=salt seq=4)`,
  ],
  [new dht.DhtOutgoingGetPeersAlert(v1Hash, v1Hash, ep), `outgoing dht get_peers : ${v1Hash} -> 10.0.0.1:6881`],
  [
    new dht.DhtOutgoingGetPeersAlert(v1Hash, new Sha1Hash(), ep),
    `outgoing dht get_peers : ${v1Hash} [obfuscated: ${'0'.repeat(40)}] -> 10.0.0.1:6881`,
  ],
  [new dht.DhtStatsAlert([], [], v1Hash, ep), `DHT stats: (${v1Hash}) reqs: 0 buckets: 0`],
  [new dht.DhtLogAlert(enums.DhtModule.routingTable, 'text'), 'DHT routing_table: text'],
  [
    new dht.DhtPktAlert(Uint8Array.of(1), dht.DhtPktAlert.Direction.outgoing, ep, () => '{ }'),
    '==> [10.0.0.1:6881] { }',
  ],
  [new dht.DhtGetPeersReplyAlert(v1Hash, [ep, ep6]), `incoming dht get_peers reply: ${v1Hash}, peers 2`],
  [new dht.DhtDirectResponseAlert(null, ep, null), 'DHT direct response (address=10.0.0.1) [  ]'],
  [new dht.DhtLiveNodesAlert(v1Hash, [{ nid: v1Hash, endpoint: ep }]), `dht live nodes for id: ${v1Hash}, nodes 1`],
  [
    new dht.DhtSampleInfohashesAlert(v1Hash, ep, 60, 10, [v1Hash], []),
    'incoming dht sample_infohashes reply from: 10.0.0.1:6881, samples 1',
  ],
]

test.each(cases.map(([alert, text]) => [alert.what(), text, alert] as const))('%s says: %s', (_, text, alert) => {
  expect(alert.message()).toBe(text)
})

test('an alert keeps its text when its torrent gets other hashes', () => {
  const moving = { handle, infoHashes: new InfoHash(v1Hash) }
  const alert = new torrent.TorrentPausedAlert(moving)
  moving.infoHashes = new InfoHash()
  expect(alert.message()).toBe('abcdef paused')
})

test('an error, a warning and a tracker id can be read as they came', () => {
  const error = new tracker.TrackerErrorAlert(t, ep, ProtocolVersion.V1, url, 1, failed, 'no', Operation.bittorrent)
  expect([error.failureReason(), error.errorMessage(), error.trackerUrl(), error.localEndpoint]).toEqual([
    'no',
    'no',
    url,
    ep,
  ])
  expect(new tracker.TrackerWarningAlert(t, ep, ProtocolVersion.V1, url, 'w').warningMessage()).toBe('w')
  expect(new tracker.TrackeridAlert(t, ep, ProtocolVersion.V1, url, 'w').trackerId()).toBe('w')
  expect(error.handle).toBe(handle)
})
