/** A snapshot of one connection, as `TorrentHandle.getPeerInfo()` gives it. */

import { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'

/** State, rates and queues of one peer. Rates are bytes per second, averaged over some seconds. */
export class PeerInfo {
  static readonly bwIdle = 1
  static readonly interesting = 1
  static readonly standardBittorrent = 1
  static readonly tracker = 1
  static readonly bwLimit = 2
  static readonly choked = 2
  static readonly dht = 2
  static readonly webSeed = 2
  static readonly bwNetwork = 4
  static readonly httpSeed = 4
  static readonly pex = 4
  static readonly remoteInterested = 4
  static readonly lsd = 8
  static readonly remoteChoked = 8
  static readonly bwDisk = 16
  static readonly resumeData = 16
  static readonly supportsExtensions = 16
  static readonly outgoingConnection = 32
  static readonly incoming = 32
  static readonly handshake = 64
  static readonly connecting = 128
  static readonly onParole = 512
  static readonly seed = 1024
  static readonly optimisticUnchoke = 2048
  static readonly snubbed = 4096
  static readonly uploadOnly = 8192
  static readonly endgameMode = 16384
  static readonly holepunched = 32768
  static readonly i2pSocket = 65536
  static readonly utpSocket = 131072
  static readonly sslSocket = 262144
  static readonly rc4Encrypted = 524288
  static readonly plaintextEncrypted = 1048576

  #remote: Endpoint = ['0.0.0.0', 0]
  #local: Endpoint = ['0.0.0.0', 0]

  busyRequests: number = 0
  /** What the peer says it runs, from its extension handshake or its peer id. */
  client: Uint8Array = new Uint8Array(0)
  connectionType: number = 0
  /** Bytes per second, protocol included. */
  downSpeed: number = 0
  downloadQueueLength: number = 0
  /** Seconds until the queued blocks are here, at the present rate. */
  downloadQueueTime: number = 0
  downloadRatePeak: number = 0
  downloadingBlockIndex: number = -1
  /** Piece whose block is arriving; -1 for none. */
  downloadingPieceIndex: number = -1
  downloadingProgress: number = 0
  downloadingTotal: number = 0
  failcount: number = 0
  /** `interesting` ... `plaintextEncrypted`. */
  flags: number = 0
  /** Seconds since anything was sent or received. */
  lastActive: number = 0
  /** Seconds since the last request to it. */
  lastRequest: number = 0
  numHashfails: number = 0
  /** Pieces it has. */
  numPieces: number = 0
  payloadDownSpeed: number = 0
  payloadUpSpeed: number = 0
  pendingDiskBytes: number = 0
  pendingDiskReadBytes: number = 0
  pid: Sha1Hash = new Sha1Hash()
  /** What it has. */
  pieces: boolean[] = []
  /** 0 to 1. */
  progress: number = 0
  /** 0 to 1,000,000. */
  progressPpm: number = 0
  /** Bytes requested and not received. */
  queueBytes: number = 0
  /** `bwIdle` ... `bwDisk`. */
  readState: number = 0
  receiveBufferSize: number = 0
  receiveBufferWatermark: number = 0
  receiveQuota: number = 0
  /** Seconds until the oldest request times out; -1 with none. */
  requestTimeout: number = -1
  requestsInBuffer: number = 0
  /** Round-trip time, estimated, ms. */
  rtt: number = 0
  sendBufferSize: number = 0
  sendQuota: number = 0
  /** Where its address came from: `tracker` ... `incoming`. */
  source: number = 0
  targetDlQueueLength: number = 0
  timedOutRequests: number = 0
  totalDownload: number = 0
  totalUpload: number = 0
  /** Bytes per second, protocol included. */
  upSpeed: number = 0
  uploadQueueLength: number = 0
  uploadRatePeak: number = 0
  usedReceiveBuffer: number = 0
  usedSendBuffer: number = 0
  /** `bwIdle` ... `bwDisk`. */
  writeState: number = 0

  remoteEndpoint(): Endpoint {
    return this.#remote
  }

  localEndpoint(): Endpoint {
    return this.#local
  }

  /** Hex of the destination of an I2P peer; empty for others. */
  i2pDestination(): string {
    return ''
  }

  /** @internal */
  setEndpoints(remote: Endpoint, local: Endpoint): void {
    this.#remote = remote
    this.#local = local
  }
}
