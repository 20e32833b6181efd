import { expect, test } from 'vitest'
import { ViewReader } from '../../../src/peer/view-reader.ts'

test('ranges come out whole, however the bytes are cut into views', () => {
  const bytes = Buffer.from('0123456789abcdef')
  for (let i = 0; i <= 16; i++) {
    for (let j = i; j <= 16; j++) {
      const reader = new ViewReader([bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)])
      const ranges = [5, 5, 6].map(length => Buffer.concat(reader.take(length)).toString())
      expect(ranges).toEqual(['01234', '56789', 'abcdef'])
      expect(() => reader.take(1)).toThrow(RangeError)
    }
  }
})
