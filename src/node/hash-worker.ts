/** Worker thread of `setPieceHashes`: takes runs of pieces until there are none left. */

import { parentPort, workerData } from 'node:worker_threads'
import { HashJob, NEXT_RUN, STOP, type WorkerReport, type WorkerTask } from './hash-job.ts'

/** Hashes runs until none is left, one fails, or it is told to stop. */
function work(task: WorkerTask, report: (report: WorkerReport) => void): void {
  const { plan, runLength, control } = task
  const job = new HashJob(plan)
  const runs = Math.ceil(plan.numPieces / runLength)
  try {
    for (;;) {
      const run = Atomics.add(control, NEXT_RUN, 1)
      if (run >= runs) return
      const end = Math.min((run + 1) * runLength, plan.numPieces)
      for (let piece = run * runLength; piece < end; piece++) {
        if (Atomics.load(control, STOP) !== 0) return
        const failure = job.hashPiece(piece)
        if (failure === null) continue
        Atomics.store(control, STOP, 1)
        report(failure)
        return
      }
      report(run)
    }
  } finally {
    job.close()
  }
}

const port = parentPort
if (port === null) throw new Error('hash-worker: expected to run in a worker thread')
work(workerData as WorkerTask, message => port.postMessage(message))
