import { expect, test } from 'vitest'
import { DiskWatch } from '../../../src/torrent/disk-watch.ts'

function world() {
  const turn = { now: 1000 }
  const told: boolean[] = []
  return { turn, told, watch: new DiskWatch(turn, stalled => told.push(stalled)) }
}

test('a disk that answers no write for half a second is stalled, until it answers', () => {
  const { turn, told, watch } = world()
  watch.writeBegins()
  turn.now += 500
  watch.look()
  expect(told).toEqual([])
  turn.now++
  watch.look()
  watch.look()
  expect(told).toEqual([true])
  watch.writeEnds()
  expect(told).toEqual([true, false])
  turn.now += 10_000
  watch.look()
  expect(told, 'nothing is under way').toEqual([true, false])
})

test('the time counts from the last answer, not from each write', () => {
  const { turn, told, watch } = world()
  watch.writeBegins()
  turn.now += 400
  watch.writeBegins()
  turn.now += 50
  watch.writeEnds()
  turn.now += 400
  watch.look()
  expect(told).toEqual([])
  watch.writeBegins()
  turn.now += 101
  watch.look()
  expect(told, 'the new write does not give the old one more time').toEqual([true])
})
