import { describe, expect, test } from 'vitest'
import { DiskJobs, JobState, type QueuedJob, StorageQueue } from '../../../src/storage/disk-jobs.ts'
import { JobFence } from '../../../src/storage/job-fence.ts'
import { KeyLocks } from '../../../src/storage/key-locks.ts'

interface TestJob extends QueuedJob {
  readonly name: string
}

function job(queue: StorageQueue, name: string, more: Partial<TestJob> = {}): TestJob {
  return {
    name,
    queue,
    keys: [],
    shared: false,
    fence: false,
    bulk: false,
    state: JobState.new,
    waitingFor: 0,
    ...more,
  }
}

const always = (): boolean => true

/** Takes all that is ready. */
function takeAll(jobs: DiskJobs<TestJob>): TestJob[] {
  const out: TestJob[] = []
  for (let next = jobs.take(always); next !== null; next = jobs.take(always)) out.push(next)
  return out
}

function names(jobs: readonly TestJob[]): string {
  return jobs.map(j => j.name).join(' ')
}

describe('a fence', () => {
  test('lets jobs through until an exclusive one comes, which waits for them', () => {
    const fence = new JobFence<{ fence: boolean; id: number }>()
    const [a, b, x, c] = [
      { fence: false, id: 1 },
      { fence: false, id: 2 },
      { fence: true, id: 3 },
      { fence: false, id: 4 },
    ] as const
    expect([fence.admit(a), fence.admit(b), fence.admit(x), fence.admit(c)]).toEqual([true, true, false, false])
    expect(fence.raised).toBe(true)
    const released: number[] = []
    const release = (j: { id: number }): void => {
      released.push(j.id)
    }
    fence.finished(a, release)
    expect(released).toEqual([])
    fence.finished(b, release)
    expect(released).toEqual([3])
    fence.finished(x, release)
    expect(released).toEqual([3, 4])
    expect([fence.raised, fence.held, fence.outstanding]).toEqual([false, 0, 1])
  })

  test('runs several exclusive jobs one by one, each in its place', () => {
    const fence = new JobFence<{ fence: boolean; id: number }>()
    const all = [1, 2, 3, 4, 5].map(id => ({ id, fence: id === 1 || id === 2 || id === 4 }))
    expect(all.map(j => fence.admit(j))).toEqual([true, false, false, false, false])
    const order: number[] = []
    const running = [all[0]!]
    while (running.length > 0) {
      const done = running.shift()!
      order.push(done.id)
      fence.finished(done, next => running.push(next))
    }
    expect(order).toEqual([1, 2, 3, 4, 5])
    expect(fence.outstanding).toBe(0)
  })
})

describe('locks', () => {
  const lock = (
    keys: readonly number[],
    shared: boolean,
  ): { keys: readonly number[]; shared: boolean; waitingFor: number } => ({
    keys,
    shared,
    waitingFor: 0,
  })

  test('let readers of a piece overlap, and keep a writer alone, in order', () => {
    const locks = new KeyLocks<ReturnType<typeof lock>>()
    const r1 = lock([7], true)
    const r2 = lock([7], true)
    const w = lock([7], false)
    const r3 = lock([7], true)
    expect([r1, r2, w, r3].map(j => locks.acquire(j))).toEqual([true, true, false, false])
    const ready: unknown[] = []
    const note = (j: unknown): void => {
      ready.push(j)
    }
    locks.release(r2, note)
    expect(ready).toEqual([])
    locks.release(r1, note)
    expect(ready).toEqual([w])
    locks.release(w, note)
    expect(ready).toEqual([w, r3])
    locks.release(r3, note)
    expect(locks.size).toBe(0)
  })

  test('of several keys are held when the last one is', () => {
    const locks = new KeyLocks<ReturnType<typeof lock>>()
    const a = lock([1], false)
    const b = lock([2], false)
    const both = lock([1, 2, 3], false)
    const later = lock([3], true)
    expect([a, b, both, later].map(j => locks.acquire(j))).toEqual([true, true, false, false])
    const ready: unknown[] = []
    const note = (j: unknown): void => {
      ready.push(j)
    }
    locks.release(a, note)
    expect(ready).toEqual([])
    locks.release(b, note)
    expect(ready).toEqual([both])
    locks.release(both, note)
    expect(ready).toEqual([both, later])
  })

  test('a random crowd is never let in together with a writer, and nobody waits for ever', () => {
    let seed = 42
    const random = (n: number): number => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return seed % n
    }
    const locks = new KeyLocks<ReturnType<typeof lock>>()
    const running = new Set<ReturnType<typeof lock>>()
    const enter = (j: ReturnType<typeof lock>): void => {
      for (const other of running) {
        if (other.shared && j.shared) continue
        expect(j.keys.some(key => other.keys.includes(key))).toBe(false)
      }
      running.add(j)
    }
    let ended = 0
    for (let i = 0; i < 2000; i++) {
      const keys = [...new Set([random(6), random(6), random(6)])]
      const j = lock(keys, random(3) > 0)
      if (locks.acquire(j)) enter(j)
      if (random(2) === 0) {
        const done = [...running][random(running.size)]
        if (done === undefined) continue
        running.delete(done)
        ended++
        locks.release(done, enter)
      }
    }
    while (running.size > 0) {
      const done = [...running][0]!
      running.delete(done)
      ended++
      locks.release(done, enter)
    }
    expect(ended).toBe(2000)
    expect(locks.size).toBe(0)
  })
})

describe('the queues', () => {
  test('storages take turns', () => {
    const jobs = new DiskJobs<TestJob>()
    const a = new StorageQueue(1)
    const b = new StorageQueue(2)
    for (const name of ['a1', 'a2', 'a3']) jobs.add(job(a, name))
    for (const name of ['b1', 'b2']) jobs.add(job(b, name))
    expect(names(takeAll(jobs))).toBe('a1 b1 a2 b2 a3')
    expect([jobs.queued, jobs.running]).toEqual([0, 5])
  })

  test('a storage that may not run is passed over, not waited for', () => {
    const jobs = new DiskJobs<TestJob>()
    const stuck = new StorageQueue(1)
    const fine = new StorageQueue(2)
    jobs.add(job(stuck, 's1'))
    jobs.add(job(stuck, 's2'))
    jobs.add(job(fine, 'f1'))
    const allowed = (queue: StorageQueue): boolean => queue !== stuck
    expect(jobs.take(allowed)?.name).toBe('f1')
    expect(jobs.take(allowed)).toBeNull()
    expect(jobs.take(always)?.name).toBe('s1')
    expect(jobs.queued).toBe(1)
  })

  test('bulk jobs give way, but get every fourth turn', () => {
    const jobs = new DiskJobs<TestJob>()
    const queue = new StorageQueue(1)
    for (let i = 0; i < 4; i++) jobs.add(job(queue, `B${i}`, { bulk: true }))
    for (let i = 0; i < 6; i++) jobs.add(job(queue, `u${i}`))
    expect(names(takeAll(jobs))).toBe('u0 u1 u2 B0 u3 u4 u5 B1 B2 B3')
  })

  test('jobs of one piece follow each other; an exclusive job waits for all and holds back the rest', () => {
    const jobs = new DiskJobs<TestJob>()
    const queue = new StorageQueue(1)
    const first = job(queue, 'first', { keys: [1] })
    const second = job(queue, 'second', { keys: [1] })
    const other = job(queue, 'other', { keys: [2] })
    const fence = job(queue, 'fence', { fence: true })
    const after = job(queue, 'after', { keys: [2] })
    for (const j of [first, second, other, fence, after]) jobs.add(j)
    expect(names(takeAll(jobs))).toBe('first other')
    jobs.finish(first)
    expect(names(takeAll(jobs))).toBe('second')
    jobs.finish(other)
    expect(names(takeAll(jobs))).toBe('')
    jobs.finish(second)
    expect(names(takeAll(jobs))).toBe('fence')
    jobs.finish(fence)
    expect(names(takeAll(jobs))).toBe('after')
    jobs.finish(after)
    expect([jobs.queued, jobs.running, queue.running]).toEqual([0, 0, 0])
    expect(after.state).toBe(JobState.done)
  })

  test('a job that is taken back runs again, and keeps what it holds meanwhile', () => {
    const jobs = new DiskJobs<TestJob>()
    const queue = new StorageQueue(1)
    const first = job(queue, 'first', { keys: [1] })
    const second = job(queue, 'second', { keys: [1] })
    jobs.add(first)
    jobs.add(second)
    expect(jobs.take(always)).toBe(first)
    jobs.requeue(first)
    expect([jobs.queued, jobs.running, queue.running]).toEqual([2, 0, 0])
    expect(names(takeAll(jobs))).toBe('first')
  })
})
