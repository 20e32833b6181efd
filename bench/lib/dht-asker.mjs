/** The client of bench/dht.js: asks a DHT node as fast as it answers. */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'

/** ms after which a query without an answer is given up and counted as lost. */
const LOST_AFTER = 300
const LOOK_EVERY = 50
const TARGETS = 1024

const targets = Array.from({ length: TARGETS }, () => randomBytes(20))

/** A query with room for its transaction id, and for its target if it has one (`targetAt` is -1 else). */
function template(id, method) {
  const key = { ping: '', find_node: '6:target20:', get_peers: '9:info_hash20:' }[method]
  const target = key === '' ? Buffer.alloc(0) : targets[0]
  const head = Buffer.concat([Buffer.from('d1:ad2:id20:'), id, Buffer.from(key)])
  const middle = Buffer.from(`e1:q${method.length}:${method}1:t4:`)
  return {
    packet: Buffer.concat([head, target, middle, Buffer.alloc(4), Buffer.from('1:y1:qe')]),
    targetAt: key === '' ? -1 : head.length,
    transactionAt: head.length + target.length + middle.length,
  }
}

/** One client of one node: it keeps its port and its id, as clients do. */
export class DhtAsker {
  #socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 })
  #id = randomBytes(20)
  #onAnswer = () => {}

  async connect(port) {
    this.#socket.on('message', answer => this.#onAnswer(answer))
    await new Promise((resolve, reject) => {
      this.#socket.on('error', reject)
      this.#socket.connect(port, '127.0.0.1', resolve)
    })
  }

  close() {
    this.#socket.close()
  }

  /**
   * @param count  queries in all
   * @param window queries that are under way at a time
   * @returns answers, lost and refused queries, seconds from the first query to the last answer, bytes of a mean answer
   */
  ask(method, count, window) {
    const { packet, targetAt, transactionAt } = template(this.#id, method)
    /** When each query that is under way was sent. */
    const pending = new Map()
    const result = { answers: 0, lost: 0, errors: 0, bytes: 0, seconds: 0 }
    const started = performance.now()
    let now = started
    let last = started
    let sent = 0
    const send = () => {
      if (sent === count) return
      const query = Buffer.from(packet)
      query.writeUInt32BE(sent, transactionAt)
      if (targetAt >= 0) targets[sent % TARGETS].copy(query, targetAt)
      pending.set(sent++, now)
      this.#socket.send(query)
    }
    return new Promise(resolve => {
      const finish = () => {
        clearInterval(watch)
        this.#onAnswer = () => {}
        result.seconds = (last - started) / 1000
        result.bytes /= Math.max(1, result.answers)
        resolve(result)
      }
      const watch = setInterval(() => {
        now = performance.now()
        for (const [number, at] of pending) {
          if (now - at < LOST_AFTER) continue
          pending.delete(number)
          result.lost++
          send()
        }
        if (sent === count && pending.size === 0) finish()
      }, LOOK_EVERY)
      this.#onAnswer = answer => {
        const at = answer.indexOf('1:t4:')
        if (at < 0 || !pending.delete(answer.readUInt32BE(at + 5))) return
        if (answer.includes('1:y1:r')) result.answers++
        else result.errors++
        result.bytes += answer.length
        last = now = performance.now()
        send()
        if (sent === count && pending.size === 0) finish()
      }
      for (let i = 0; i < window; i++) send()
    })
  }
}
