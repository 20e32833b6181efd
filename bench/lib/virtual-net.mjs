/** Clock, timers and datagrams of a made-up network in virtual time; what a DHT needs of a runtime, and no more. */

class Timer {
  cancelled = false
  constructor(fn) {
    this.fn = fn
  }
  cancel() {
    this.cancelled = true
  }
}

export class VirtualNet {
  clock = { now: () => this.#now }
  /** Packets that have arrived. */
  packets = 0
  #now = 0
  #rng
  #shortest
  #span
  /** A binary heap of `[when, number, what]`, the earliest first; of equal ones the first that was entered. */
  #heap = []
  #entered = 0
  #sockets = new Map()

  /** @param shortest the shortest delay of a packet, in ms @param longest the longest */
  constructor(rng, shortest, longest) {
    this.#rng = rng
    this.#shortest = shortest
    this.#span = longest - shortest + 1
  }

  setTimer(delayMs, fn) {
    const timer = new Timer(fn)
    this.#at(this.#now + delayMs, () => {
      if (!timer.cancelled) timer.fn()
    })
    return timer
  }

  bindDatagram(at, handler, done) {
    const key = at.join()
    this.#sockets.set(key, handler)
    const send = (packet, to) => {
      const copy = Buffer.from(packet)
      this.#at(this.#now + this.#shortest + this.#rng.below(this.#span), () => {
        const target = this.#sockets.get(to.join())
        if (target === undefined) return
        this.packets++
        target.onPacket(copy, at)
      })
      return true
    }
    done(null, { local: at, send, close: () => this.#sockets.delete(key) })
  }

  /** Lets so many ms pass. */
  advance(ms) {
    const end = this.#now + ms
    const heap = this.#heap
    while (heap.length > 0 && heap[0][0] <= end) {
      const [when, , what] = this.#pop()
      this.#now = when
      what()
    }
    this.#now = end
  }

  #at(when, what) {
    const heap = this.#heap
    const entry = [when, this.#entered++, what]
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!earlier(entry, heap[parent])) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = entry
  }

  #pop() {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    const size = heap.length
    if (size === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= size) break
      if (child + 1 < size && earlier(heap[child + 1], heap[child])) child++
      if (!earlier(heap[child], last)) break
      heap[i] = heap[child]
      i = child
    }
    heap[i] = last
    return first
  }
}

function earlier(a, b) {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])
}
