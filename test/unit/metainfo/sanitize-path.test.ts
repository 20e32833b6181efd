import { expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { isPlainElement, sanitizeElement, verifiedText } from '../../../src/metainfo/sanitize-path.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')
const clean = (text: string, force = true, windows = false) => {
  const b = Buffer.from(text, 'utf8')
  return sanitizeElement(b, 0, b.length, force, windows)
}
const cleanBytes = (text: string) => sanitizeElement(bytes(text), 0, text.length, true, false)

test.each<[string, string | null, string]>([
  ['a...b', 'a...b', 'a...b'],
  ['', '_', '_'],
  ['.', null, '_'],
  ['..', null, '_'],
  ['...', '...', '...'],
  ['./', null, '_'],
  ['/', null, '_'],
  ['\\', null, '_'],
  ['\0', null, '_'],
  ['\u200b', null, '_'],
  ['.\u202e.', null, '_'],
  ['a/b\\c', 'abc', 'abc'],
  ['dev:', 'dev:', 'dev:'],
  [' a ', ' a ', ' a '],
  ['a\nb', 'a_b', 'a_b'],
  ['\u007f\u0080\u009f\u00a0', '___\u00a0', '___\u00a0'],
  ['\ufefffile', 'file', 'file'],
  ['\u061c\u200f\u2060\u2066x', 'x', 'x'],
  ['\u{1f600}', '\u{1f600}', '\u{1f600}'],
])('%j becomes %j, or %j where an element is needed', (text, free, forced) => {
  expect(clean(text, false)).toBe(free)
  expect(clean(text, true)).toBe(forced)
})

test.each([
  ['\xc0\xaf', '_'],
  ['\xc1\x81', '_'],
  ['\xe0\x80\xaf', '_'],
  ['\xed\xa0\x80', '_'],
  ['\xf4\x90\x80\x80', '_'],
  ['\xf8\x88\x80\x80\x80x', '_x'],
  ['\xffx', '_x'],
  ['\x80x', '_x'],
  ['a\xe3\x81', 'a_'],
  ['\xc3x', '_'],
  ['\xe6foo', '_o'],
])('ill-formed UTF-8 %j becomes %j', (text, expected) => {
  expect(cleanBytes(text)).toBe(expected)
})

test('long names are cut at 240 bytes and keep a short extension', () => {
  expect(clean('x'.repeat(239))).toBe('x'.repeat(239))
  expect(clean('x'.repeat(300))).toBe('x'.repeat(240))
  expect(clean(`${'x'.repeat(300)}.txt`)).toBe(`${'x'.repeat(240)}.txt`)
  expect(clean(`${'x'.repeat(300)}.123456789`)).toBe(`${'x'.repeat(240)}`)
  expect(clean(`${'x'.repeat(300)}.12345678`)).toBe(`${'x'.repeat(240)}.12345678`)
  expect(clean('\u00e9'.repeat(200))).toBe('\u00e9'.repeat(120))
})

test('on Windows more is invalid, and dots and spaces do not end a name', () => {
  expect(clean('a:b?c*d|e<f>g"', true, true)).toBe('a_b_c_d_e_f_g_')
  expect(clean('foobar ', true, true)).toBe('foobar')
  expect(clean('a. . ', true, true)).toBe('a')
  expect(clean(' ...', true, true)).toBe('_')
  expect(clean(' ...', false, true)).toBeNull()
  expect(clean('\u00e9'.repeat(200), true, true)).toBe('\u00e9'.repeat(200))
})

test('a plain element is one that cleaning leaves as it is', () => {
  const rng = new SeededRng(11)
  const samples = 'abc./\\\0 :\xc3\xa9\xe2\x80\x8b\xff_'
  for (let round = 0; round < 20_000; round++) {
    let text = ''
    for (let n = rng.below(6); n > 0; n--) text += samples[rng.below(samples.length)]
    const b = bytes(text)
    if (isPlainElement(b, 0, b.length)) expect(sanitizeElement(b, 0, b.length, true)).toBe(b.toString('utf8'))
  }
  expect(isPlainElement(bytes('file.txt'), 0, 8)).toBe(true)
  expect(isPlainElement(Buffer.from('caf\u00e9'), 0, 5)).toBe(true)
  expect(isPlainElement(bytes('x'.repeat(240)), 0, 240)).toBe(false)
})

test('text that is no UTF-8 gets an underscore for each ill-formed sequence', () => {
  expect(verifiedText(bytes('a\xffb\xe3\x81'))).toBe('a_b_')
  expect(verifiedText(Buffer.from('\u00fc\u{1f600}'))).toBe('\u00fc\u{1f600}')
  expect(verifiedText(new Uint8Array(0))).toBe('')
})
