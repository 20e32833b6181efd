/** How long requests take: the average that request time-outs are derived from. */

import { SlidingAverage } from '../core/averages.ts'

/** Weight of libtorrent's average of request times: the last 20 samples. */
const SAMPLES = 20

export function newRequestTimes(): SlidingAverage {
  return new SlidingAverage(SAMPLES)
}
