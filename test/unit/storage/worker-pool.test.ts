import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type PoolJob, type PoolWorker, WorkerPool } from '../../../src/storage/node/worker-pool.ts'
import {
  NO_CELL,
  type ToWorker,
  type WireAnswer,
  type WireJob,
  type WorkerInit,
} from '../../../src/storage/worker-protocol.ts'

interface TestJob extends PoolJob {
  readonly name: string
}

/** A worker that runs a job when it is told to. */
class FakeWorker implements PoolWorker {
  readonly claims: Int32Array
  readonly inbox: WireJob[] = []
  readonly messages: ToWorker[] = []
  referenced = true
  #onMessage: (answers: WireAnswer[]) => void = () => {}
  #onExit: () => void = () => {}
  readonly #onError = new Map<string, (error: unknown) => void>()
  /** What `postMessage` throws. */
  deaf: Error | null = null

  constructor(init: WorkerInit) {
    this.claims = new Int32Array(init.claims)
  }

  postMessage(message: ToWorker): void {
    if (this.deaf !== null) throw this.deaf
    this.messages.push(message)
    if (message.type === 'jobs') this.inbox.push(...message.jobs)
    if (message.type === 'exit') queueMicrotask(() => this.#onExit())
  }

  on(event: string, fn: (...args: never[]) => void): void {
    if (event === 'message') this.#onMessage = fn as (answers: WireAnswer[]) => void
    if (event === 'exit') this.#onExit = fn as () => void
    if (event.endsWith('error')) this.#onError.set(event, fn as (error: unknown) => void)
  }

  fail(event: 'error' | 'messageerror', error: Error): void {
    this.#onError.get(event)!(error)
  }

  terminate(): void {
    queueMicrotask(() => this.#onExit())
  }

  ref(): void {
    this.referenced = true
  }

  unref(): void {
    this.referenced = false
  }

  /** Claims the next job. @returns `null` if it was taken back, or there is none */
  begin(): WireJob | null {
    const job = this.inbox.shift()
    if (job === undefined) return null
    if (job.cell === NO_CELL) return job
    return Atomics.compareExchange(this.claims, job.cell, job.id, -job.id) === job.id ? job : null
  }

  cancelled(job: WireJob): boolean {
    return Atomics.load(this.claims, job.cell) !== -job.id
  }

  answer(...jobs: WireJob[]): void {
    this.#onMessage(jobs.map(job => ({ id: job.id }) as WireAnswer))
  }

  die(): void {
    this.#onExit()
  }
}

const workers: FakeWorker[] = []
let log: string[] = []
/** No worker can be started: this is thrown instead. */
let noThreads: Error | null = null
/** Thrown when a job is said to be lost, or done. */
let sinkFails: Error | null = null

function make(regular: number, most: number): WorkerPool<TestJob> {
  const name = (job: TestJob): string => job.name
  return new WorkerPool<TestJob>(
    { workers: regular, maxWorkers: most, maxFiles: 40 },
    () => [[], []],
    {
      answered: (_, jobs) => {
        log.push(`answered ${jobs.map(name).join(' ')}`)
        if (sinkFails !== null) throw sinkFails
      },
      takenBack: job => log.push(`back ${job.name}`),
      lost: job => {
        log.push(`lost ${job.name}`)
        if (sinkFails !== null) throw sinkFails
      },
      stalled: job => log.push(`stalled ${job.name}`),
      capacity: () => {},
      crashed: error => log.push(`crashed: ${(error as Error).message}`),
    },
    init => {
      if (noThreads !== null) throw noThreads
      const worker = new FakeWorker(init)
      workers.push(worker)
      return worker
    },
  )
}

function job(name: string, bulk = false): TestJob {
  return { name, bulk }
}

/** Any job will do: workers here do not look into it. */
function wire(): WireJob {
  return { op: 3, id: 0, cell: 0, storage: 1 }
}

beforeEach(() => {
  vi.useFakeTimers()
  workers.length = 0
  log = []
  noThreads = null
  sinkFails = null
})

afterEach(() => {
  vi.useRealTimers()
})

describe('the workers', () => {
  test('are started on first use, as many as there is work for', () => {
    const pool = make(2, 10)
    expect(workers).toHaveLength(0)
    pool.give(job('a'), wire())
    expect(workers).toHaveLength(1)
    pool.give(job('b'), wire())
    pool.give(job('c'), wire())
    expect(workers).toHaveLength(2)
    pool.flush()
    expect(workers.map(w => w.inbox.length).sort()).toEqual([1, 2])
    expect(workers[0]!.messages).toHaveLength(1)
  })

  test('get a few jobs ahead, of bulk ones fewer', () => {
    const pool = make(1, 1)
    for (let i = 0; i < 2; i++) pool.give(job(`bulk ${i}`, true), wire())
    expect([pool.hasRoom(true), pool.hasRoom(false)]).toEqual([false, true])
    for (let i = 0; i < 2; i++) pool.give(job(`short ${i}`), wire())
    expect(pool.hasRoom(false)).toBe(false)
    expect(() => pool.give(job('one more'), wire())).toThrow('no room')
  })

  test('keep the process alive only while they have work', () => {
    const pool = make(1, 1)
    pool.give(job('a'), wire())
    pool.flush()
    const [worker] = workers
    expect(worker!.referenced).toBe(true)
    worker!.answer(worker!.begin()!)
    expect(worker!.referenced).toBe(false)
    expect(log).toEqual(['answered a'])
  })
})

describe('a worker whose job does not end', () => {
  test('is given up after two looks: what waits behind it goes back, and another one starts', () => {
    const pool = make(1, 3)
    const jobs = ['hangs', 'b', 'c'].map(name => job(name))
    for (const j of jobs) pool.give(j, wire())
    pool.flush()
    const [hung] = workers
    const running = hung!.begin()!
    vi.advanceTimersByTime(250)
    expect(log).toEqual([])
    vi.advanceTimersByTime(250)
    expect(log).toEqual(['stalled hangs', 'back b', 'back c'])
    expect(pool.hasRoom(false)).toBe(true)
    pool.give(jobs[1]!, wire())
    pool.flush()
    expect(workers).toHaveLength(2)
    // The worker wakes up: it must not run what was given to another.
    hung!.answer(running)
    expect([hung!.begin(), hung!.begin()]).toEqual([null, null])
    expect(log.at(-1)).toBe('answered hangs')
  })

  test('keeps the job behind it if it has begun it meanwhile', () => {
    const pool = make(1, 2)
    pool.give(job('a'), wire())
    pool.give(job('b'), wire())
    pool.flush()
    const [worker] = workers
    worker!.begin()
    const second = worker!.begin()!
    vi.advanceTimersByTime(500)
    expect(log).toEqual(['stalled a'])
    worker!.answer(second)
    expect(log).toEqual(['stalled a', 'answered b'])
  })

  test('is given more time to start than to do a job', () => {
    const pool = make(1, 2)
    pool.give(job('a'), wire())
    pool.flush()
    vi.advanceTimersByTime(2000)
    expect(log).toEqual([])
    vi.advanceTimersByTime(2000)
    expect(log).toEqual(['stalled a'])
  })

  test('is not one whose jobs change between looks', () => {
    const pool = make(1, 2)
    for (let i = 0; i < 4; i++) {
      pool.give(job(`${i}`), wire())
      pool.flush()
      vi.advanceTimersByTime(249)
      workers[0]!.answer(workers[0]!.begin()!)
    }
    expect(log.filter(line => line.startsWith('stalled'))).toEqual([])
  })

  test('is replaced only up to the limit', () => {
    const pool = make(1, 2)
    for (let i = 0; i < 2; i++) {
      pool.give(job(`hangs ${i}`), wire())
      pool.flush()
      workers[i]!.begin()
      vi.advanceTimersByTime(750)
    }
    expect(workers).toHaveLength(2)
    expect(pool.hasRoom(false)).toBe(false)
  })

  test('does not hold up the closing of files elsewhere', async () => {
    const pool = make(1, 2)
    const worker = pool.give(job('hangs'), wire())
    pool.flush()
    workers[0]!.begin()
    let early = false
    pool.closeStorage(worker, 1, () => {
      early = true
    })
    pool.flush()
    expect(early).toBe(false)
    vi.advanceTimersByTime(500)
    await Promise.resolve()
    expect(early).toBe(true)
    let late = false
    pool.closeStorage(worker, 1, () => {
      late = true
    })
    await Promise.resolve()
    expect(late).toBe(true)
  })

  test('leaves when it is not needed any more', async () => {
    const pool = make(1, 2)
    pool.give(job('hangs'), wire())
    pool.flush()
    const running = workers[0]!.begin()!
    vi.advanceTimersByTime(500)
    pool.give(job('b'), wire())
    pool.flush()
    workers[1]!.answer(workers[1]!.begin()!)
    workers[0]!.answer(running)
    expect(pool.size).toBe(2)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(pool.size).toBe(1)
  })
})

describe('ends', () => {
  test('a worker that dies loses its jobs, and another one takes its place', () => {
    const pool = make(1, 1)
    pool.give(job('a'), wire())
    pool.give(job('b'), wire())
    pool.flush()
    workers[0]!.begin()
    workers[0]!.die()
    expect(log).toEqual(['lost a', 'lost b'])
    pool.give(job('c'), wire())
    expect(workers).toHaveLength(2)
  })

  test('what a worker cannot be told is lost at once, and the worker goes on', () => {
    const pool = make(1, 1)
    pool.give(job('a'), wire())
    pool.flush()
    const [worker] = workers
    worker!.deaf = new Error('could not be cloned')
    pool.give(job('b'), wire())
    pool.give(job('c', true), wire())
    pool.flush()
    expect(log.splice(0)).toEqual(['lost b', 'lost c', 'crashed: could not be cloned'])
    worker!.deaf = null
    pool.give(job('d'), wire())
    pool.flush()
    worker!.answer(worker!.begin()!, worker!.begin()!)
    expect(log).toEqual(['answered a d'])
  })

  test('a worker whose answers cannot be read is ended, with its jobs', async () => {
    const pool = make(1, 1)
    pool.give(job('a'), wire())
    pool.flush()
    workers[0]!.fail('messageerror', new Error('unreadable'))
    await Promise.resolve()
    expect(log).toEqual(['crashed: unreadable', 'lost a'])
    expect(pool.size).toBe(0)
  })

  test('where no worker can be started, those there are get the job; without any it is refused', () => {
    const pool = make(2, 2)
    noThreads = new Error('no threads left')
    expect(() => pool.give(job('a'), wire())).toThrow('no threads left')
    noThreads = null
    for (const name of ['a', 'b']) pool.give(job(name), wire())
    noThreads = new Error('no threads left')
    pool.give(job('c'), wire())
    pool.flush()
    expect(log).toEqual(['crashed: no threads left'])
    expect(workers.map(worker => worker.inbox.length)).toEqual([3])
  })

  test('nothing that is thrown leaves the events of a worker', () => {
    const pool = make(1, 1)
    for (const name of ['a', 'b', 'c']) pool.give(job(name), wire())
    pool.flush()
    sinkFails = new Error('a bug')
    const [worker] = workers
    worker!.answer(worker!.begin()!)
    worker!.fail('error', new Error('out of memory'))
    worker!.die()
    expect(log).toEqual([
      'answered a',
      'crashed: a bug',
      'crashed: out of memory',
      'lost b',
      'crashed: a bug',
      'lost c',
      'crashed: a bug',
    ])
  })

  test('a cancelled job that runs is told so', () => {
    const pool = make(1, 1)
    const one = job('a', true)
    pool.give(one, wire())
    pool.flush()
    const running = workers[0]!.begin()!
    expect(workers[0]!.cancelled(running)).toBe(false)
    pool.cancel(one)
    expect(workers[0]!.cancelled(running)).toBe(true)
  })

  test('take a second short job before another one is woken', () => {
    const pool = make(2, 2)
    for (const name of ['a', 'b']) pool.give(job(name), wire())
    expect(workers).toHaveLength(1)
    pool.give(job('c'), wire())
    expect(workers).toHaveLength(2)
    pool.flush()
    for (const worker of workers) for (let id = worker.begin(); id !== null; id = worker.begin()) worker.answer(id)
    pool.give(job('d'), wire())
    pool.give(job('e'), wire())
    pool.flush()
    expect([workers[0]!.begin(), workers[1]!.begin()]).toEqual([expect.anything(), null])
  })

  test('closing waits for what is running', async () => {
    const pool = make(2, 2)
    pool.give(job('a', true), wire())
    pool.give(job('b', true), wire())
    pool.flush()
    workers[0]!.answer(workers[0]!.begin()!)
    let closed = false
    pool.close(() => {
      closed = true
    })
    await Promise.resolve()
    expect(closed).toBe(false)
    workers[1]!.answer(workers[1]!.begin()!)
    await Promise.resolve()
    await Promise.resolve()
    expect(closed).toBe(true)
    expect(pool.size).toBe(0)
  })

  test('closing a pool that never worked ends at once', () => {
    let closed = false
    make(2, 2).close(() => {
      closed = true
    })
    expect(closed).toBe(true)
  })

  test('any number of storages may close their files at once', () => {
    const pool = make(1, 2)
    const worker = pool.give(job('a'), wire())
    let closed = 0
    for (let storage = 0; storage < 500; storage++) pool.closeStorage(worker, storage, () => closed++)
    pool.flush()
    const jobs: WireJob[] = []
    for (let n = 0; n < 501; n++) {
      const next = workers[0]!.begin()
      expect(next, `${n}`).not.toBeNull()
      jobs.push(next!)
    }
    workers[0]!.answer(...jobs)
    expect(closed).toBe(500)
    // and the cells of jobs are still all there
    for (const name of ['b', 'c', 'd', 'e']) pool.give(job(name), wire())
    pool.flush()
    for (let n = 0; n < 4; n++) expect(workers[0]!.begin()).not.toBeNull()
  })
})
