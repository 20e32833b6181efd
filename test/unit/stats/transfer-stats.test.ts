import { expect, test } from 'vitest'
import * as stats from '../../../src/stats/transfer-stats.ts'

const { TransferStats } = stats

test('payload and protocol are counted apart, in total and since the last tick', () => {
  const s = new TransferStats()
  s.sentBytes(100, 13)
  s.receivedBytes(200, 17)
  expect([s.totalPayloadUpload(), s.total(stats.UPLOAD_PROTOCOL), s.totalUpload()]).toEqual([100, 13, 113])
  expect([s.totalPayloadDownload(), s.total(stats.DOWNLOAD_PROTOCOL), s.totalDownload()]).toEqual([200, 17, 217])
  expect(s.sinceTick(stats.DOWNLOAD_PAYLOAD)).toBe(200)
  s.secondTick(1000)
  expect(s.sinceTick(stats.DOWNLOAD_PAYLOAD)).toBe(0)
  expect(s.total(stats.DOWNLOAD_PAYLOAD)).toBe(200)
})

test('a rate approaches what is transferred, and ends at zero', () => {
  const s = new TransferStats()
  for (let i = 0; i < 60; i++) {
    s.receivedBytes(10_000, 0)
    s.secondTick(1000)
  }
  expect(s.downloadPayloadRate()).toBeGreaterThan(9_990)
  expect(s.downloadPayloadRate()).toBeLessThanOrEqual(10_000)
  expect(s.isIdle()).toBe(false)
  for (let i = 0; i < 60; i++) s.secondTick(1000)
  expect(s.downloadRate()).toBe(0)
  expect(s.isIdle()).toBe(true)
})

test('a tick that came late does not raise the rate', () => {
  const s = new TransferStats()
  s.sentBytes(10_000, 0)
  s.secondTick(2000)
  expect(s.uploadPayloadRate()).toBe(1000)
  expect(s.rate(stats.UPLOAD_PAYLOAD)).toBe(1000)
})

test('headers are estimated from the bytes and the address family', () => {
  const s = new TransferStats()
  s.sentSyn(false)
  s.receivedSynAck(true)
  expect(s.sinceTick(stats.UPLOAD_IP_OVERHEAD)).toBe(100)
  expect(s.sinceTick(stats.DOWNLOAD_IP_OVERHEAD)).toBe(60)
  s.secondTick(1000)
  for (const [bytes, ipv6, headers] of [
    [0, false, 40],
    [1460, false, 40],
    [1461, false, 80],
    [1440, true, 60],
    [1441, true, 120],
  ] as const) {
    s.transceivedIpPacket(bytes, ipv6)
    expect(s.sinceTick(stats.UPLOAD_IP_OVERHEAD), `${bytes} ${ipv6}`).toBe(headers)
    expect(s.sinceTick(stats.DOWNLOAD_IP_OVERHEAD)).toBe(headers)
    s.secondTick(1000)
  }
})

test('bytes of an earlier connection count in the total only', () => {
  const s = new TransferStats()
  s.addPrevious(1000, 500)
  expect([s.totalPayloadDownload(), s.totalPayloadUpload()]).toEqual([1000, 500])
  s.secondTick(1000)
  expect([s.downloadRate(), s.uploadRate()]).toEqual([0, 0])
})
