/** Entry of a disk worker: takes batches of jobs, runs them one by one, answers. */

import { performance } from 'node:perf_hooks'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { NO_CELL, type ToWorker, type WireAnswer, type WireJob, WireOp, type WorkerInit } from '../worker-protocol.ts'
import { JobRunner } from './job-runner.ts'
import { WorkerFiles } from './worker-files.ts'

/** Answers to reads wait this long for company. */
const ANSWER_DELAY_MS = 0.3

function start(port: MessagePort, init: WorkerInit): void {
  const claims = new Int32Array(init.claims)
  const files = new WorkerFiles(init.maxFiles)
  const runner = new JobRunner(files, init.segments)
  let answers: WireAnswer[] = []
  let oldest = 0

  const flush = (): void => {
    if (answers.length === 0) return
    const transfer: ArrayBuffer[] = []
    for (const answer of answers) {
      if (answer.data !== null) transfer.push(answer.data.buffer as ArrayBuffer)
    }
    port.postMessage(answers, transfer)
    answers = []
  }

  const run = (job: WireJob): void => {
    // Reads are short and come in crowds; anything else would keep finished answers waiting.
    if (job.op !== WireOp.read || performance.now() - oldest > ANSWER_DELAY_MS) flush()
    // The main thread takes jobs back from a worker that hangs: only one of both gets the cell.
    const { cell, id } = job
    if (cell !== NO_CELL && Atomics.compareExchange(claims, cell, id, -id) !== id) return
    answers.push(runner.run(job, () => cell !== NO_CELL && Atomics.load(claims, cell) !== -id))
    if (answers.length === 1) oldest = performance.now()
  }

  const take = (message: ToWorker): void => {
    switch (message.type) {
      case 'jobs':
        for (let i = 0; i < message.jobs.length; i++) run(message.jobs[i]!)
        break
      case 'segment':
        runner.addSegment(message.pool, message.index, message.memory)
        break
      case 'limit':
        files.setLimit(message.maxFiles)
        break
      case 'exit':
        files.closeAll()
        port.close()
        break
    }
  }

  port.on('message', (first: ToWorker) => {
    take(first)
    for (;;) {
      const next = receiveMessageOnPort(port)
      if (next === undefined) break
      take(next.message as ToWorker)
    }
    flush()
  })
}

if (parentPort !== null) start(parentPort, workerData as WorkerInit)
