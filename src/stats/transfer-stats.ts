/** Bytes transferred and their rates, of a peer, a torrent or the session, by what they were spent on. */

/** What bytes were spent on. */
export const UPLOAD_PAYLOAD = 0
export const UPLOAD_PROTOCOL = 1
export const DOWNLOAD_PAYLOAD = 2
export const DOWNLOAD_PROTOCOL = 3
/** TCP/IP headers, estimated: the system does not tell. */
export const UPLOAD_IP_OVERHEAD = 4
export const DOWNLOAD_IP_OVERHEAD = 5
export const NUM_CHANNELS = 6

const MTU = 1500

/**
 * Totals, the bytes since the last tick, and rates in bytes per second.
 *
 * `secondTick` must be called about once a second; a rate is a moving average in which each second
 * has a fifth of the weight. A peer's numbers are added to its torrent's with `add` before both tick.
 */
export class TransferStats {
  readonly #total = new Float64Array(NUM_CHANNELS)
  readonly #sinceTick = new Float64Array(NUM_CHANNELS)
  readonly #rate = new Float64Array(NUM_CHANNELS)

  sentBytes(payload: number, protocol: number): void {
    this.#count(UPLOAD_PAYLOAD, payload)
    this.#count(UPLOAD_PROTOCOL, protocol)
  }

  receivedBytes(payload: number, protocol: number): void {
    this.#count(DOWNLOAD_PAYLOAD, payload)
    this.#count(DOWNLOAD_PROTOCOL, protocol)
  }

  /** A connection attempt was made. @returns bytes of its headers */
  sentSyn(ipv6: boolean): number {
    const overhead = ipv6 ? 60 : 40
    this.#count(UPLOAD_IP_OVERHEAD, overhead)
    return overhead
  }

  /** A connection attempt was answered, and the answer acknowledged. @returns bytes of headers each way */
  receivedSynAck(ipv6: boolean): number {
    const overhead = ipv6 ? 60 : 40
    this.#count(DOWNLOAD_IP_OVERHEAD, overhead)
    this.#count(UPLOAD_IP_OVERHEAD, overhead)
    return overhead
  }

  /**
   * Counts the headers of the packets that carried `bytes` one way, and of their acknowledgements.
   *
   * @returns bytes of headers each way
   */
  transceivedIpPacket(bytes: number, ipv6: boolean): number {
    const header = ipv6 ? 60 : 40
    const overhead = Math.max(1, Math.ceil(bytes / (MTU - header))) * header
    this.#count(DOWNLOAD_IP_OVERHEAD, overhead)
    this.#count(UPLOAD_IP_OVERHEAD, overhead)
    return overhead
  }

  /** Bytes from before, such as an earlier connection of the same peer: they count in the totals only. */
  addPrevious(downloaded: number, uploaded: number): void {
    this.#total[DOWNLOAD_PAYLOAD]! += downloaded
    this.#total[UPLOAD_PAYLOAD]! += uploaded
  }

  /** @param elapsedMs since the last tick, > 0 */
  secondTick(elapsedMs: number): void {
    for (let channel = 0; channel < NUM_CHANNELS; channel++) {
      const sample = Math.floor((this.#sinceTick[channel]! * 1000) / elapsedMs)
      // in whole bytes, so that the rate of a silent peer ends at 0
      this.#rate[channel] = Math.floor((this.#rate[channel]! * 4) / 5) + Math.floor(sample / 5)
      this.#sinceTick[channel] = 0
    }
  }

  /** Nothing was transferred and no rate is left: ticking would change nothing. */
  isIdle(): boolean {
    for (let channel = 0; channel < NUM_CHANNELS; channel++)
      if (this.#rate[channel] !== 0 || this.#sinceTick[channel] !== 0) return false
    return true
  }

  /** @param channel one of the constants above */
  total(channel: number): number {
    return this.#total[channel]!
  }

  /** Bytes per second. */
  rate(channel: number): number {
    return this.#rate[channel]!
  }

  /** Bytes since the last tick. */
  sinceTick(channel: number): number {
    return this.#sinceTick[channel]!
  }

  /** Everything that went up, headers included. */
  uploadRate(): number {
    return this.#rate[UPLOAD_PAYLOAD]! + this.#rate[UPLOAD_PROTOCOL]! + this.#rate[UPLOAD_IP_OVERHEAD]!
  }

  downloadRate(): number {
    return this.#rate[DOWNLOAD_PAYLOAD]! + this.#rate[DOWNLOAD_PROTOCOL]! + this.#rate[DOWNLOAD_IP_OVERHEAD]!
  }

  uploadPayloadRate(): number {
    return this.#rate[UPLOAD_PAYLOAD]!
  }

  downloadPayloadRate(): number {
    return this.#rate[DOWNLOAD_PAYLOAD]!
  }

  totalUpload(): number {
    return this.#total[UPLOAD_PAYLOAD]! + this.#total[UPLOAD_PROTOCOL]! + this.#total[UPLOAD_IP_OVERHEAD]!
  }

  totalDownload(): number {
    return this.#total[DOWNLOAD_PAYLOAD]! + this.#total[DOWNLOAD_PROTOCOL]! + this.#total[DOWNLOAD_IP_OVERHEAD]!
  }

  totalPayloadUpload(): number {
    return this.#total[UPLOAD_PAYLOAD]!
  }

  totalPayloadDownload(): number {
    return this.#total[DOWNLOAD_PAYLOAD]!
  }

  #count(channel: number, bytes: number): void {
    this.#total[channel]! += bytes
    this.#sinceTick[channel]! += bytes
  }
}
