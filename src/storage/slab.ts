/**
 * Memory for block payload: 16 KiB slots in shared segments that workers see too.
 *
 * A slot has one writer at a time: free -> leased (a peer fills it) -> in a job -> free.
 */

declare const slotBrand: unique symbol

/** Number of a slot; its bytes are `SlotPool.view(slot)`. */
export type Slot = number & { readonly [slotBrand]?: true }

/** Hands out slots up to a budget. */
export interface SlotPool {
  /** Slots that are not free. */
  readonly inUse: number
  /** Slots that may be in use at once. */
  readonly budget: number
  /** True from when 7/8 of the budget are in use until it is under half: stop asking peers for more. */
  readonly underPressure: boolean

  /** @returns -1 if the budget is used up */
  allocate(): Slot
  /** `count` slots that lie one after the other in memory. @returns the first; -1 if there is no such run now */
  allocateRun(count: number): Slot
  /** Makes the slot free. Each slot of a run is released by itself. */
  release(slot: Slot): void
  /** The 16 KiB of a slot; always the same view. */
  view(slot: Slot): Uint8Array
  /** Copies all of `source` into the slot from `offset` on: the one hot copy of a download. */
  copyIn(slot: Slot, offset: number, source: Uint8Array): void
  /** Called, in a turn of its own, once `underPressure` went from true to false. */
  onRelief(fn: () => void): void
}
