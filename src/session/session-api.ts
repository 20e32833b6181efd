/** What every session offers, whatever it runs on: `src/node` makes one for Node, the simulator another. */

import type { Alert } from '../alert/alert.ts'
import type { AlertMap, AlertName } from '../alert/alert-map.ts'
import type { Sha1Hash } from '../core/digest.ts'
import { InfoHash } from '../core/digest.ts'
import { SaveStateFlags, type StatusFlags } from '../core/enums.ts'
import { LibtorrentError } from '../core/error-code.ts'
import { AddTorrentParams } from '../metainfo/add-torrent-params.ts'
import type { IpFilter } from '../net/ip-filter.ts'
import type { PeerClassInfo, PeerClassTypeFilter } from '../net/peer-class.ts'
import type { PortFilter } from '../net/port-filter.ts'
import type { SettingsPack } from '../settings/pack-type.ts'
import { buildStatus } from '../torrent/status-builder.ts'
import type { TorrentStatus } from '../torrent/torrent-status.ts'
import { AlertIterator } from './alert-iterator.ts'
import { SessionDht } from './session-dht.ts'
import { SessionParams } from './session-params.ts'
import { readSessionParams, SAVE_IP_FILTER, type SessionParamsDict, writeSessionParams } from './session-state.ts'
import type { TorrentHandle } from './torrent-handle.ts'

/** The end of a session: waits for it. */
export class SessionProxy {
  readonly #done: Promise<void>

  /** @internal */
  constructor(done: Promise<void>) {
    this.#done = done
  }

  /** Fulfilled when everything is announced, written and closed. */
  get closed(): Promise<void> {
    return this.#done
  }

  /** Makes `await session.abort()` wait for the end. */
  // biome-ignore lint/suspicious/noThenProperty: awaiting the proxy is its purpose
  then<T>(onDone: () => T, onError?: (reason: unknown) => T): Promise<T> {
    return this.#done.then(onDone, onError)
  }
}

type AlertFn<A extends Alert> = (alert: A) => void

/**
 * A BitTorrent session: torrents, their peers, and what they share.
 *
 * Calls take effect at once; what they start is reported by alerts. A session keeps the process alive
 * until `close()`.
 */
export class SessionBase extends SessionDht {
  static readonly deleteFiles = 1
  static readonly deletePartfile = 2
  static readonly globalPeerClassId = 0
  static readonly tcpPeerClassId = 1
  static readonly localPeerClassId = 2
  static readonly paused = 4
  static readonly saveSettings = SaveStateFlags.saveSettings
  static readonly saveDhtState = SaveStateFlags.saveDhtState
  static readonly saveIpFilter = SAVE_IP_FILTER

  readonly #listeners = new Map<string, Set<AlertFn<Alert>>>()
  /** What the wrappers that `once` makes stand for. */
  readonly #once = new WeakMap<AlertFn<Alert>, AlertFn<Alert>>()
  #listening: (() => void) | null = null
  #closing: Promise<void> | null = null

  // ---- torrents ------------------------------------------------------------------------------------

  /**
   * Adds a torrent. If it is there already, that one is returned (unless `TorrentFlags.duplicateIsError`).
   *
   * @param params what `loadTorrentFile`, `parseMagnetUri` or `readResumeData` give, or a plain object
   *   with some of its fields; `savePath` must be set
   * @throws LibtorrentError if it cannot be added
   */
  addTorrent(params: AddTorrentParams | Partial<AddTorrentParams>): TorrentHandle {
    const own = (params instanceof AddTorrentParams ? params : new AddTorrentParams(params)).clone()
    return this.engine.turn.call(() => this.engine.addTorrent(own))
  }

  /** The same; success and failure are both reported by an `AddTorrentAlert` only. */
  asyncAddTorrent(params: AddTorrentParams | Partial<AddTorrentParams>): void {
    const own = (params instanceof AddTorrentParams ? params : new AddTorrentParams(params)).clone()
    this.engine.turn.run('add torrent', () => {
      try {
        this.engine.addTorrent(own)
      } catch (error) {
        // the alert has been posted
        if (!(error instanceof LibtorrentError)) throw error
      }
    })
  }

  /**
   * Removes a torrent.
   *
   * @param option `Session.deleteFiles`, `Session.deletePartfile`
   * @throws LibtorrentError `invalid_torrent_handle` if it has been removed already
   */
  removeTorrent(handle: TorrentHandle, option = 0): void {
    this.engine.turn.call(() => this.engine.removeTorrent(handle.torrent(), option))
  }

  /** @param infoHash a v1 hash, a v2 hash cut to 20 bytes, or both hashes; `null` if there is no such torrent */
  findTorrent(infoHash: Sha1Hash | InfoHash): TorrentHandle | null {
    const { registry } = this.engine
    const found = infoHash instanceof InfoHash ? registry.find(infoHash) : registry.byHash(infoHash)
    return found?.handle ?? null
  }

  getTorrents(): TorrentHandle[] {
    return Array.from(this.engine.registry.all(), torrent => torrent.handle)
  }

  /** The status of the torrents that `pred` takes. */
  getTorrentStatus(pred: (status: TorrentStatus) => boolean, flags: StatusFlags = 0): TorrentStatus[] {
    return this.engine.turn.call(() =>
      Array.from(this.engine.registry.all(), torrent => buildStatus(torrent, flags)).filter(pred),
    )
  }

  /** Brings the status objects of torrents up to date; those of removed ones stay as they are. */
  refreshTorrentStatus(torrents: TorrentStatus[], flags: StatusFlags = 0): TorrentStatus[] {
    return this.engine.turn.call(() => {
      for (const status of torrents) {
        if (status.handle?.isValid()) Object.assign(status, buildStatus(status.handle.torrent(), flags))
      }
      return torrents
    })
  }

  /** Posts a `StateUpdateAlert` with the torrents whose status changed since the last one. */
  postTorrentUpdates(flags: StatusFlags = 0xffffffff): void {
    this.engine.turn.call(() => this.engine.postTorrentUpdates(flags))
  }

  /** Posts a `SessionStatsAlert`. */
  postSessionStats(): void {
    this.engine.turn.call(() => this.engine.postSessionStats())
  }

  // ---- state ---------------------------------------------------------------------------------------

  /** Stops all torrents until `resume()`. */
  pause(): void {
    this.engine.turn.call(() => this.engine.setPaused(true))
  }

  resume(): void {
    this.engine.turn.call(() => this.engine.setPaused(false))
  }

  isPaused(): boolean {
    return this.engine.paused
  }

  /** The session is not closed. */
  isValid(): boolean {
    return !this.engine.closed
  }

  isListening(): boolean {
    return this.engine.listen.sockets.some(socket => socket.listenPort !== 0)
  }

  /** Port of the first listen socket; 0 if there is none (yet). */
  listenPort(): number {
    return this.engine.listen.sockets.find(socket => socket.listenPort !== 0)?.listenPort ?? 0
  }

  /** Port of the first listen socket for SSL torrents; 0 if there is none (yet). */
  sslListenPort(): number {
    return this.engine.listen.sockets.find(socket => socket.ssl && socket.listenPort !== 0)?.listenPort ?? 0
  }

  /** Looks at the networks again, and opens and closes listen sockets as they and the settings ask for. */
  reopenNetworkSockets(_options = 0): void {
    this.engine.turn.call(() => this.engine.listen.reopen())
  }

  /**
   * What to keep for the next run: `new Session(session.sessionState())` has these settings, this IP filter and
   * these DHT nodes. Torrents are not part of it: each has its resume data.
   *
   * @param flags which parts: `Session.saveSettings`, `Session.saveDhtState`, `Session.saveIpFilter`
   */
  sessionState(flags: SaveStateFlags = SaveStateFlags.all): SessionParams {
    const params = new SessionParams()
    if ((flags & SessionBase.saveSettings) !== 0) params.settings = this.engine.settings.nonDefaultPack()
    if ((flags & SessionBase.saveDhtState) !== 0) params.dhtState = this.engine.dht.state()
    if ((flags & SessionBase.saveIpFilter) !== 0) params.ipFilter = this.getIpFilter()
    return params
  }

  /**
   * As `sessionState`, as a dictionary that can be bencoded.
   *
   * @deprecated `writeSessionParams(session.sessionState())`
   */
  saveState(flags: SaveStateFlags = SaveStateFlags.all): SessionParamsDict {
    return writeSessionParams(this.sessionState(flags), flags)
  }

  /**
   * Takes over what `saveState` gave: settings that are not in it stay as they are.
   *
   * @deprecated `new Session(readSessionParams(...))`
   */
  loadState(state: SessionParamsDict | Uint8Array, flags: SaveStateFlags = SaveStateFlags.all): void {
    const params = readSessionParams(state, flags)
    this.applySettings(params.settings)
    if ((flags & SessionBase.saveDhtState) !== 0)
      this.engine.turn.call(() => this.engine.dht.loadState(params.dhtState))
    if ((flags & SessionBase.saveIpFilter) !== 0 && !params.ipFilter.empty()) this.setIpFilter(params.ipFilter)
  }

  // ---- settings --------------------------------------------------------------------------------------

  /**
   * Changes settings by name; what is not named stays as it is.
   *
   * @throws TypeError on an unknown name or a wrong type; nothing has changed then
   */
  applySettings(settings: SettingsPack): void {
    this.engine.turn.call(() => this.engine.applySettings(settings))
  }

  /** All settings, with their present values. */
  getSettings(): Required<SettingsPack> {
    return this.engine.settings.toPack() as Required<SettingsPack>
  }

  /** A copy. */
  getIpFilter(): IpFilter {
    return this.engine.connects.ipFilter
  }

  /** Blocked peers are disconnected and forgotten. */
  setIpFilter(filter: IpFilter): void {
    this.engine.turn.call(() => this.engine.connects.setIpFilter(filter))
  }

  setPortFilter(filter: PortFilter): void {
    this.engine.turn.call(() => this.engine.connects.setPortFilter(filter))
  }

  // ---- peer classes ------------------------------------------------------------------------------------

  createPeerClass(name: string): number {
    return this.engine.limits.pool.create(name)
  }

  /** Peers that are in the class keep it. */
  deletePeerClass(peerClass: number): void {
    this.engine.limits.pool.release(peerClass)
  }

  /** @returns `null` if there is no such class */
  getPeerClass(peerClass: number): PeerClassInfo | null {
    return this.engine.limits.pool.at(peerClass)?.getInfo() ?? null
  }

  /** What is left out of `info` stays as it is. */
  setPeerClass(peerClass: number, info: Partial<PeerClassInfo>): void {
    this.engine.turn.call(() => this.engine.limits.pool.at(peerClass)?.setInfo(info))
  }

  /** The classes of new peers by address: the filter's access flags are a mask of class ids below 32. */
  setPeerClassFilter(filter: IpFilter): void {
    this.engine.limits.byAddress = filter.clone()
  }

  getPeerClassFilter(): IpFilter {
    return this.engine.limits.byAddress.clone()
  }

  setPeerClassTypeFilter(filter: PeerClassTypeFilter): void {
    this.engine.limits.byType = filter.clone()
  }

  getPeerClassTypeFilter(): PeerClassTypeFilter {
    return this.engine.limits.byType.clone()
  }

  // ---- alerts --------------------------------------------------------------------------------------------

  /** All alerts that wait, oldest first. */
  popAlerts(): Alert[] {
    return this.engine.alerts.pop()
  }

  /** Has `callback` called when alerts begin to wait; it must not block. `null` takes it away. */
  setAlertNotify(callback: (() => void) | null): void {
    this.engine.alerts.setNotify(callback)
  }

  /**
   * Waits until an alert is there.
   *
   * @param ms at most so many milliseconds
   * @returns whether there is one; rejected with the signal's reason when that is aborted
   */
  waitForAlert(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    const { alerts, runtime } = this.engine
    // not at once: a program that waits again without taking the alerts must not keep everything else from happening
    if (alerts.pending) return new Promise(resolve => runtime.afterPoll(() => resolve(true)))
    return new Promise((resolve, reject) => {
      const end = (result: boolean) => {
        stop()
        resolve(result)
      }
      const onAbort = () => {
        stop()
        reject(options.signal?.reason)
      }
      const stop = () => {
        timer.cancel()
        takeBack()
        options.signal?.removeEventListener('abort', onAbort)
      }
      const takeBack = alerts.whenPending(() => end(true))
      const timer = runtime.setTimer(ms, () => end(alerts.pending))
      if (options.signal?.aborted) onAbort()
      else options.signal?.addEventListener('abort', onAbort)
    })
  }

  /** Calls `listener` with each alert of a type, by its `what()`, or with every one (`'alert'`). */
  on<N extends AlertName>(name: N, listener: AlertFn<AlertMap[N]>): this
  on(name: 'alert', listener: AlertFn<Alert>): this
  on(name: string, listener: AlertFn<never>): this {
    let set = this.#listeners.get(name)
    if (set === undefined) this.#listeners.set(name, (set = new Set()))
    set.add(listener as unknown as AlertFn<Alert>)
    this.#listening ??= this.engine.alerts.listen(alerts => {
      for (const alert of alerts) this.#emit(alert)
    })
    return this
  }

  /** Takes back what `on` or `once` was given. */
  off(name: AlertName | 'alert', listener: AlertFn<never>): this {
    const set = this.#listeners.get(name)
    const own = listener as unknown as AlertFn<Alert>
    if (set === undefined || set.delete(own)) return this
    for (const wrapped of set) if (this.#once.get(wrapped) === own) set.delete(wrapped)
    return this
  }

  /** As `on`, for the next one only. */
  once<N extends AlertName>(name: N, listener: AlertFn<AlertMap[N]>): this {
    const wrapped = (alert: AlertMap[N]) => {
      this.off(name, wrapped as AlertFn<never>)
      listener(alert)
    }
    this.#once.set(wrapped as unknown as AlertFn<Alert>, listener as unknown as AlertFn<Alert>)
    return this.on(name, wrapped)
  }

  #emit(alert: Alert): void {
    for (const name of [alert.what(), 'alert']) {
      for (const listener of this.#listeners.get(name) ?? []) {
        try {
          listener(alert)
        } catch (error) {
          // the program's own error: it surfaces as one, and other listeners still get the alert
          this.engine.runtime.defer(() => {
            throw error
          })
        }
      }
    }
  }

  /**
   * All alerts from the first step of the iteration on, until the session is closed. `return()` ends it at once.
   *
   * ```ts
   * for await (const alert of session.alerts()) console.log(alert.message())
   * ```
   */
  alerts(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Alert, void, void> {
    return new AlertIterator(
      {
        listen: listener => this.engine.alerts.listen(listener),
        whenEnded: fn => this.#whenEnded(fn),
      },
      options.signal,
    )
  }

  #whenEnded(fn: () => void): () => void {
    this.#enders.add(fn)
    if (this.#ended) fn()
    return () => this.#enders.delete(fn)
  }

  readonly #enders = new Set<() => void>()
  #ended = false

  // ---- end -----------------------------------------------------------------------------------------------

  /** Ends the session: announces `stopped`, writes what is in memory, closes everything. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => {
      this.engine.turn.call(() =>
        this.engine.close(() => {
          this.#ended = true
          for (const end of this.#enders) end()
          resolve()
        }),
      )
    })
    return this.#closing
  }

  /** Begins to end the session; awaiting the result waits for the end. */
  abort(): SessionProxy {
    return new SessionProxy(this.close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
