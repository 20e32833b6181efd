/** Moving averages: of samples, and of bytes per second. */

/** Fixed point, so that results are libtorrent's to the last digit. */
const SCALE = 64

/**
 * Exponential moving mean and mean deviation of samples.
 *
 * Until `invertedGain` samples are there it is the plain mean; from then on each new one has `1 / invertedGain`
 * of the weight.
 */
export class SlidingAverage {
  readonly #invertedGain: number
  #mean = 0
  #deviation = 0
  #samples = 0

  /** @param invertedGain 1 or more */
  constructor(invertedGain: number) {
    this.#invertedGain = invertedGain
  }

  /** @param sample integer, its absolute value below 2^40 */
  addSample(sample: number): void {
    const s = sample * SCALE
    const deviation = this.#samples > 0 ? Math.abs(this.#mean - s) : 0
    if (this.#samples < this.#invertedGain) this.#samples++
    this.#mean += Math.trunc((s - this.#mean) / this.#samples)
    // A deviation needs two samples, so there is always one less of them.
    if (this.#samples > 1) this.#deviation += Math.trunc((deviation - this.#deviation) / (this.#samples - 1))
  }

  /** 0 without samples. */
  mean(): number {
    return this.#samples > 0 ? Math.trunc((this.#mean + SCALE / 2) / SCALE) : 0
  }

  /** Mean distance of samples from the mean; 0 with fewer than two samples. */
  avgDeviation(): number {
    return this.#samples > 1 ? Math.trunc((this.#deviation + SCALE / 2) / SCALE) : 0
  }

  /** At most `invertedGain`. */
  numSamples(): number {
    return this.#samples
  }
}
