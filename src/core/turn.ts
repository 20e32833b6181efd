/**
 * The engine's turns: every event enters through a door, runs to its end without waiting, and leaves.
 *
 * Effects that several events of a turn would repeat (one system call per message, say) are put off to
 * its end. A throw inside a turn never reaches the event loop of the host program: it goes to `onCrash`.
 */

/** Something that collects work during a turn. */
export interface TurnEffect {
  /** Called once at the end of a turn in which `Turn.atEnd` was called for it. */
  endOfTurn(): void
}

export class Turn {
  /** Milliseconds; read once when the turn begins. */
  now = 0
  #depth = 0
  #effects: TurnEffect[] = []
  #calls: (() => void)[] = []
  readonly #clock: () => number
  readonly #onCrash: (error: unknown, where: string) => void
  readonly #onEnd: () => void

  /**
   * @param clock monotonic milliseconds
   * @param onCrash gets what was thrown inside a turn: a bug of this library, not of the world
   * @param onEnd   called when a turn is over
   */
  constructor(clock: () => number, onCrash: (error: unknown, where: string) => void, onEnd: () => void = () => {}) {
    this.#clock = clock
    this.#onCrash = onCrash
    this.#onEnd = onEnd
  }

  get active(): boolean {
    return this.#depth > 0
  }

  /** Begins a turn, or a part of the one that runs. Must be paired with {@link leave}, also when something throws. */
  enter(): void {
    if (this.#depth++ === 0) this.now = this.#clock()
  }

  leave(): void {
    try {
      if (this.#depth === 1) {
        this.#runEffects()
        this.#onEnd()
      }
    } finally {
      this.#depth--
    }
  }

  /** Runs `fn` inside a turn; what it throws goes to the crash handler. */
  run(where: string, fn: () => void): void {
    this.enter()
    try {
      fn()
    } catch (error) {
      this.crash(error, where)
    } finally {
      this.leave()
    }
  }

  /** Runs `fn` inside a turn and lets its error through: for calls of the public API. */
  call<T>(fn: () => T): T {
    this.enter()
    try {
      return fn()
    } finally {
      this.leave()
    }
  }

  crash(error: unknown, where: string): void {
    this.#onCrash(error, where)
  }

  /** Has `effect.endOfTurn()` called when the turn ends. The caller makes sure not to ask twice. */
  atEnd(effect: TurnEffect): void {
    this.#effects.push(effect)
  }

  /** Runs `fn` after the effects, still inside the turn: for what must not happen under a caller's feet. */
  later(fn: () => void): void {
    this.#calls.push(fn)
  }

  #runEffects(): void {
    // effects may add effects and calls: until none is left
    while (this.#effects.length > 0 || this.#calls.length > 0) {
      const effects = this.#effects
      this.#effects = []
      for (let i = 0; i < effects.length; i++) {
        try {
          effects[i]!.endOfTurn()
        } catch (error) {
          this.crash(error, 'end of turn')
        }
      }
      const calls = this.#calls
      this.#calls = []
      for (let i = 0; i < calls.length; i++) {
        try {
          calls[i]!()
        } catch (error) {
          this.crash(error, 'end of turn')
        }
      }
    }
  }
}
