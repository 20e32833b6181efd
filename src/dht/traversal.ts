/**
 * The walk of all lookups: asks the closest nodes it knows, learns closer ones from their answers, and ends when the
 * closest have all answered (BEP 5).
 *
 * Deviation: with `dht_prefer_verified_node_ids` that goes for the closest nodes whose ids fit their addresses (BEP 42) as
 * well as for the closest of all. Who makes up ids near the target, its own or those of nodes that do not exist, can fill the
 * second set, but not the first; libtorrent has one set, and finds nothing then. A node that tells of made-up nodes only does
 * not count in the first set, and if that leaves too few, the lookup goes on with more nodes of our table.
 */

import type { DhtLookup } from '../alert/dht-alerts.ts'
import { Sha1Hash } from '../core/digest.ts'
import { addressKey, type Endpoint, endpointToString, isV4, parseV4 } from '../core/endpoint.ts'
import { DhtModule } from '../core/enums.ts'
import type { KrpcMessage } from './krpc.ts'
import { closerTo, distanceExp, generateRandomId, verifyId } from './node-id.ts'
import { forEachNode } from './node-list.ts'
import { type Asker, Observer, ObserverFlag } from './observer.ts'
import type { TraversalNode } from './traversal-port.ts'

/** Nodes a lookup keeps; those farther away are forgotten. */
const MAX_RESULTS = 100
/** Of those, so many may have ids that do not fit, if there are others that do. */
const MAX_UNVERIFIED_RESULTS = 50
/** Nodes with ids that do not fit that are asked, once enough of the others have answered. */
const MAX_UNVERIFIED_ASKED = 24
/** How often a lookup that is surrounded goes on with other nodes of our table. */
const MAX_REFILLS = 3
/** With fewer nodes than this to begin with, the routers are asked as well. */
const MIN_START = 3
/** Slots that late answers may open at most. */
const MAX_BRANCH_FACTOR = 127
/** `lastSent` of a lookup that has not sent anything. */
const NEVER_SENT = 0x7fffffff
const NO_ID = new Sha1Hash()

/** What an observer is in that its node was asked and nothing came of it yet. */
const OUTCOME = ObserverFlag.queried | ObserverFlag.alive | ObserverFlag.failed

/** How far a lookup is. */
const Walk = Object.freeze({
  /** Nodes are being asked. */
  going: 0,
  /** The closest have answered. */
  complete: 1,
  /** There are too few of them, and nobody is left to ask. */
  exhausted: 2,
} as const)
type Walk = (typeof Walk)[keyof typeof Walk]

/**
 * A lookup. Kinds of it say what to ask (`invoke`), and what to do with answers (`onReply`) and at the end (`onDone`).
 *
 * Invariants: the first `numSortedResults` results are sorted, closest to the target first; `invokeCount` is the number of
 * results that were queried and are not alive, failed or done; the branch factor is that of the settings at the start and
 * one for each of these that is late.
 */
export abstract class Traversal implements Asker {
  readonly searchId: number
  readonly target: Sha1Hash
  protected readonly node: TraversalNode
  protected readonly results: Observer[] = []
  /** The tail of `results` beyond has nodes whose ids are not known. */
  #sorted = 0
  #invokeCount = 0
  #branchFactor = 3
  #responses = 0
  #timeouts = 0
  #running = false
  #done = false
  #aborted = false
  /** Networks of the nodes that other nodes told of: 24 bits of IPv4 addresses, 64 of IPv6 ones. */
  readonly #networks = new Set<number | string>()
  /** The same of nodes whose ids do not fit: who makes them up must not keep the others out. */
  readonly #unverifiedNetworks = new Set<number | string>()
  #unverifiedAsked = 0
  #refills = 0

  constructor(node: TraversalNode, target: Sha1Hash) {
    this.node = node
    this.target = target
    this.searchId = node.searchId()
    if (this.logs()) this.log(`new lookup of ${target}, k: ${node.table.bucketSize}`)
  }

  /** What it is, for the log and for `DhtLookup.type`. */
  abstract name(): string

  /** Sends the query to the observer's node. @returns false if it could not be sent */
  protected abstract invoke(observer: Observer): boolean

  abstract onReply(observer: Observer, message: KrpcMessage, from: Endpoint): void

  /** Nothing more is going to happen; `results` are there for the last time. */
  protected onDone(): void {}

  get invokeCount(): number {
    return this.#invokeCount
  }

  get branchFactor(): number {
    return this.#branchFactor
  }

  get numResponses(): number {
    return this.#responses
  }

  get numTimeouts(): number {
    return this.#timeouts
  }

  get numSortedResults(): number {
    return this.#sorted
  }

  get isDone(): boolean {
    return this.#done
  }

  /** Begins with the nodes added so far, and the routers if they are few. */
  start(): void {
    if (this.results.length < MIN_START) this.#addRouters()
    this.run()
  }

  /** Begins with the nodes added so far. */
  protected run(): void {
    this.#branchFactor = Math.max(0, Math.min(this.node.settings.dhtSearchBranching, MAX_BRANCH_FACTOR))
    this.#running = true
    this.node.addTraversal(this)
    if (this.#addRequests()) this.done()
  }

  /** Another node told of this one. */
  traverse(id: Sha1Hash, endpoint: Endpoint): void {
    // that may be ourselves: asked like the others, we answer with what others have stored here
    if (this.#done) return
    if (id.isAllZeros() && this.logs()) this.log('a node told of one with the id 0')
    this.node.table.heardAbout(id, endpoint)
    this.addEntry(id, endpoint, 0)
  }

  /**
   * Adds a node that may be asked.
   *
   * @param id    all zeros if it is not known
   * @param flags `ObserverFlag.initial`, or 0 for a node that another one told of: of those there is one a network, lest an
   *   attacker surround the target
   */
  addEntry(id: Sha1Hash, endpoint: Endpoint, flags: number): void {
    if (this.#done) return
    const known = !id.isAllZeros()
    const observer = this.newObserver(endpoint, known ? id : generateRandomId(this.node.rng))
    observer.flags |= flags
    if (known) {
      const at = this.#sortedIndex(observer.id)
      if (at < this.#sorted && this.results[at]!.id.equals(id)) return
      if (this.node.settings.dhtRestrictSearchIps && (flags & ObserverFlag.initial) === 0) {
        const network = networkOf(endpoint[0])
        const unverified = this.#prefersVerified && !observer.verified
        if (this.#networks.has(network) || (unverified && this.#unverifiedNetworks.has(network))) {
          if (this.logs()) this.log(`duplicate network. ${this.#describe(observer)}`)
          return
        }
        if (unverified) this.#unverifiedNetworks.add(network)
        else this.#networks.add(network)
      }
      this.#insert(at, observer)
      this.#sorted++
    } else {
      observer.flags |= ObserverFlag.noId
      this.#insert(this.results.length, observer)
    }
    if (this.logs()) this.log(`added. ${this.#describe(observer)}`)
    while (this.results.length > MAX_RESULTS) this.#cut()
  }

  finished(observer: Observer): void {
    // the slot that its lateness had opened is closed again
    if (observer.has(ObserverFlag.shortTimeout)) this.#branchFactor--
    observer.flags |= ObserverFlag.alive
    this.#responses++
    this.#invokeCount--
    if (this.#addRequests()) this.done()
  }

  failed(observer: Observer, short: boolean): void {
    // ids that we made up are no concern of the table
    if (!observer.has(ObserverFlag.noId)) this.node.table.nodeFailed(observer.id, observer.endpoint)
    if (this.results.length === 0) return
    if (short) {
      // it may still answer, but another node gets its slot meanwhile
      if (!observer.has(ObserverFlag.shortTimeout) && this.#branchFactor < MAX_BRANCH_FACTOR) {
        this.#branchFactor++
        observer.flags |= ObserverFlag.shortTimeout
      }
      if (this.logs()) this.log(`late. ${this.#describe(observer)}`)
    } else {
      observer.flags |= ObserverFlag.failed
      if (this.logs()) this.log(`timed out. ${this.#describe(observer)}`)
      this.#timeouts++
      this.#invokeCount--
      if (observer.has(ObserverFlag.shortTimeout)) this.#branchFactor = Math.max(1, this.#branchFactor - 1)
    }
    if (this.#addRequests()) this.done()
  }

  resort(observer: Observer): void {
    const from = this.results.indexOf(observer)
    if (from < 0) return
    if (from < this.#sorted) this.#sorted--
    this.results.splice(from, 1)
    this.results.splice(this.#sortedIndex(observer.id), 0, observer)
    this.#sorted++
  }

  abort(): void {
    this.#aborted = true
  }

  /** How it is going. */
  status(): DhtLookup {
    const now = this.node.now()
    let lastSent = NEVER_SENT
    let firstTimeout = 0
    let nodesLeft = 0
    for (const observer of this.results) {
      if (observer.has(ObserverFlag.queried)) {
        lastSent = Math.min(lastSent, Math.trunc((now - observer.sentAt) / 1000))
        if (observer.has(ObserverFlag.shortTimeout)) firstTimeout++
      } else nodesLeft++
    }
    return {
      type: this.name(),
      outstandingRequests: this.#invokeCount,
      timeouts: this.#timeouts,
      responses: this.#responses,
      branchFactor: this.#branchFactor,
      nodesLeft,
      lastSent,
      firstTimeout,
      target: this.target,
    }
  }

  /** @throws Error if an invariant does not hold: for tests */
  checkInvariant(): void {
    let outstanding = 0
    let late = 0
    for (const observer of this.results) {
      if ((observer.flags & (OUTCOME | ObserverFlag.done)) !== ObserverFlag.queried) continue
      outstanding++
      if (observer.has(ObserverFlag.shortTimeout)) late++
    }
    if (outstanding !== this.#invokeCount) throw new Error(`${this.#invokeCount} outstanding, counted ${outstanding}`)
    const factor = Math.min(this.node.settings.dhtSearchBranching, MAX_BRANCH_FACTOR) + late
    if (this.#running && this.#branchFactor !== factor) {
      throw new Error(`branch factor ${this.#branchFactor}, expected ${factor}`)
    }
    for (let i = 1; i < this.#sorted; i++) {
      if (closerTo(this.target, this.results[i]!.id, this.results[i - 1]!.id)) throw new Error(`unsorted at ${i}`)
    }
  }

  protected newObserver(endpoint: Endpoint, id: Sha1Hash): Observer {
    return new Observer(this, endpoint, id, this.node.now())
  }

  /** Adds one at the end, in no order. */
  protected append(observer: Observer): void {
    this.#insert(this.results.length, observer)
  }

  /** Goes on with the nodes a response tells of, and takes the sender's id for the observer's. */
  protected takeNodes(observer: Observer, message: KrpcMessage): void {
    if (this.logs()) this.log(`response. ${this.#describe(observer)}`)
    const { family, nodesKey } = this.node
    let told = 0
    let verified = 0
    forEachNode(message, nodesKey, family, (id, endpoint) => {
      told++
      if (verified === 0 && this.#prefersVerified && verifyId(id, endpoint[0])) verified++
      this.traverse(id, endpoint)
    })
    if (told === 0 || verified > 0) observer.flags |= ObserverFlag.credible
    const id = message.senderId()
    if (id === null) observer.timeout()
    else observer.setId(id)
  }

  /** Ends the lookup. */
  protected done(): void {
    if (this.#done) return
    this.#done = true
    this.onDone()
    for (const observer of this.results) {
      // late answers to what is still under way are nobody's concern
      if ((observer.flags & (ObserverFlag.queried | ObserverFlag.failed)) === ObserverFlag.queried) {
        observer.flags |= ObserverFlag.done
      }
    }
    if (this.logs()) this.#logEnd()
    for (const observer of this.results) this.node.rpc.release(observer)
    this.results.length = 0
    this.#sorted = 0
    this.#invokeCount = 0
    if (this.#running) this.node.removeTraversal(this)
    this.#running = false
  }

  /**
   * Asks nodes as long as there are slots.
   *
   * With `dht_aggressive_lookups` only what is under way among the closest takes slots, not what was asked before these
   * were known.
   *
   * @returns whether the lookup is over
   */
  #addRequests(): boolean {
    if (this.#done) return true
    // each walk may ask; in a network where all ids fit the second one finds that the first has done its work
    for (;;) {
      const verified = this.#prefersVerified ? this.#ask(true, false) : Walk.complete
      if (verified === Walk.exhausted && this.#refill()) continue
      const all = this.#ask(false, this.#prefersVerified && verified === Walk.complete)
      return (verified !== Walk.going && all !== Walk.going) || this.#invokeCount === 0
    }
  }

  /** @returns whether there are more nodes to ask */
  #refill(): boolean {
    if (this.#aborted || this.#refills >= MAX_REFILLS) return false
    const before = this.results.length
    this.addMore(++this.#refills)
    return this.results.length > before
  }

  /** Adds more nodes to begin with. @param round from 1, as often as these are not enough */
  protected addMore(_round: number): void {}

  get #prefersVerified(): boolean {
    return this.node.settings.dhtPreferVerifiedNodeIds
  }

  /**
   * @param verified only nodes whose ids fit their addresses
   * @param sparing  of the others no more than a few
   */
  #ask(verified: boolean, sparing: boolean): Walk {
    let wanted = this.node.table.bucketSize
    let outstanding = 0
    const aggressive = this.node.settings.dhtAggressiveLookups
    for (let i = 0; i < this.results.length && wanted > 0; i++) {
      if ((aggressive ? outstanding : this.#invokeCount) >= this.#branchFactor) return Walk.going
      const observer = this.results[i]!
      if (verified && !observer.verified) continue
      if (observer.has(ObserverFlag.alive)) {
        if (!verified || observer.has(ObserverFlag.credible)) wanted--
        continue
      }
      if (observer.has(ObserverFlag.queried)) {
        if (!observer.has(ObserverFlag.failed)) outstanding++
        continue
      }
      if (this.#aborted) continue
      if (this.#prefersVerified && !observer.verified) {
        if (sparing && this.#unverifiedAsked >= MAX_UNVERIFIED_ASKED) continue
        this.#unverifiedAsked++
      }
      if (this.logs()) {
        const left = this.results.length - i
        this.log(`asking. nodes left: ${left} outstanding at the top: ${outstanding} ${this.#describe(observer)}`)
      }
      observer.flags |= ObserverFlag.queried
      if (this.invoke(observer)) {
        this.#invokeCount++
        outstanding++
      } else observer.flags |= ObserverFlag.failed
    }
    // over when the closest have all answered; or when nobody is left to ask
    if (outstanding > 0) return Walk.going
    return wanted === 0 ? Walk.complete : Walk.exhausted
  }

  #addRouters(): void {
    if (this.logs()) this.log('asking the routers too')
    for (const endpoint of this.node.table.routerNodes) this.addEntry(NO_ID, endpoint, ObserverFlag.initial)
  }

  #insert(at: number, observer: Observer): void {
    this.results.splice(at, 0, observer)
    this.node.rpc.hold(observer)
  }

  /** Forgets the farthest node: of those whose ids do not fit, if they are more than their share. */
  #cut(): void {
    let at = this.results.length - 1
    if (this.#prefersVerified) {
      let unverified = 0
      let farthest = at
      for (let i = this.results.length - 1; i >= 0; i--) {
        if (this.results[i]!.verified) continue
        if (unverified++ === 0) farthest = i
      }
      if (unverified > MAX_UNVERIFIED_RESULTS) at = farthest
    }
    const observer = this.results[at]!
    this.results.splice(at, 1)
    if (at < this.#sorted) this.#sorted--
    if ((observer.flags & (OUTCOME | ObserverFlag.done)) === ObserverFlag.queried) {
      observer.flags |= ObserverFlag.done
      this.#invokeCount--
      if (observer.has(ObserverFlag.shortTimeout)) this.#branchFactor--
    }
    this.node.rpc.release(observer)
  }

  /** Where `id` belongs among the sorted results. */
  #sortedIndex(id: Sha1Hash): number {
    let low = 0
    let high = this.#sorted
    while (low < high) {
      const middle = (low + high) >> 1
      if (closerTo(this.target, this.results[middle]!.id, id)) low = middle + 1
      else high = middle
    }
    return low
  }

  protected logs(): boolean {
    return this.node.log?.shouldLog(DhtModule.traversal) === true
  }

  protected log(text: string): void {
    this.node.log?.log(DhtModule.traversal, `[${this.searchId}] ${text}`)
  }

  #describe(observer: Observer): string {
    return (
      `id: ${observer.id} addr: ${endpointToString(observer.endpoint)} ` +
      `distance: ${distanceExp(this.target, observer.id)} invoke-count: ${this.#invokeCount} ` +
      `branch-factor: ${this.#branchFactor} type: ${this.name()}`
    )
  }

  #logEnd(): void {
    let closest = 160
    for (const observer of this.results) {
      if (observer.has(ObserverFlag.alive)) closest = Math.min(closest, distanceExp(this.target, observer.id))
    }
    this.log(`completed. distance: ${closest} type: ${this.name()}`)
  }
}

/** All bytes of an address that one attacker is taken not to have several of. */
function networkOf(address: string): number | string {
  return isV4(address) ? parseV4(address) >>> 8 : addressKey(address).slice(0, 8)
}
