import { describe, expect, test } from 'vitest'
import { SocketType } from '../../../src/core/enums.ts'
import type { BandwidthChannel } from '../../../src/net/bandwidth-channel.ts'
import {
  classesOf,
  DOWNLOAD_CHANNEL,
  defaultPeerClassFilter,
  defaultPeerClassTypeFilter,
  GLOBAL_PEER_CLASS,
  LOCAL_PEER_CLASS,
  PeerClassPool,
  PeerClassSet,
  PeerClassTypeFilter,
  TCP_PEER_CLASS,
  UPLOAD_CHANNEL,
} from '../../../src/net/peer-class.ts'

describe('peer classes', () => {
  test('a session starts with the three of libtorrent', () => {
    const pool = new PeerClassPool()
    expect(pool.at(GLOBAL_PEER_CLASS)!.getInfo()).toEqual({
      ignoreUnchokeSlots: false,
      connectionLimitFactor: 100,
      label: 'global',
      uploadLimit: 0,
      downloadLimit: 0,
      uploadPriority: 1,
      downloadPriority: 1,
    })
    expect(pool.at(TCP_PEER_CLASS)!.label).toBe('tcp')
    expect(pool.at(LOCAL_PEER_CLASS)!.getInfo()).toMatchObject({
      label: 'local',
      ignoreUnchokeSlots: true,
      connectionLimitFactor: 150,
    })
    expect(pool.at(3)).toBe(null)
  })

  test('limits and priorities are brought into range, and what is left out stays', () => {
    const c = new PeerClassPool().at(0)!
    c.setInfo({ uploadLimit: 3, downloadLimit: -1, uploadPriority: 0, downloadPriority: 1000 })
    expect(c.getInfo()).toMatchObject({ uploadLimit: 10, downloadLimit: 0, uploadPriority: 1, downloadPriority: 255 })
    c.setInfo({ label: 'x', downloadLimit: 5000.7 })
    expect(c.getInfo()).toMatchObject({ label: 'x', uploadLimit: 10, downloadLimit: 5000 })
  })

  test('a class lives as long as somebody holds it, and its number is used again', () => {
    const pool = new PeerClassPool()
    const id = pool.create('mine')
    expect(id).toBe(3)
    const set = new PeerClassSet(pool)
    set.add(id)
    pool.release(id)
    expect(pool.at(id)!.label).toBe('mine')
    set.clear()
    expect(pool.at(id)).toBe(null)
    pool.release(id)
    expect(pool.create('next')).toBe(3)
    expect(pool.at(3)!.label).toBe('next')
    expect(() => pool.hold(9)).toThrow(RangeError)
  })

  test('a set adds up what its classes say', () => {
    const pool = new PeerClassPool()
    const set = new PeerClassSet(pool)
    expect([set.priority(0), set.connectionLimitFactor(), set.ignoresUnchokeSlots()]).toEqual([1, 100, false])
    set.addMask((1 << GLOBAL_PEER_CLASS) | (1 << LOCAL_PEER_CLASS) | (1 << 20))
    set.add(GLOBAL_PEER_CLASS)
    expect(set.ids).toEqual([0, 2])
    pool.at(GLOBAL_PEER_CLASS)!.setInfo({ downloadLimit: 1000, uploadPriority: 5 })
    const channels: BandwidthChannel[] = []
    set.limitedChannels(DOWNLOAD_CHANNEL, channels)
    set.limitedChannels(UPLOAD_CHANNEL, channels)
    expect(channels).toEqual([pool.at(0)!.channels[DOWNLOAD_CHANNEL]])
    expect([set.priority(UPLOAD_CHANNEL), set.connectionLimitFactor(), set.ignoresUnchokeSlots()]).toEqual([
      5,
      150,
      true,
    ])
    set.remove(LOCAL_PEER_CLASS)
    set.remove(LOCAL_PEER_CLASS)
    expect(set.has(LOCAL_PEER_CLASS)).toBe(false)
    expect(pool.at(LOCAL_PEER_CLASS)).not.toBe(null)
  })

  test('peers get their classes by address, then by kind of socket', () => {
    const byAddress = defaultPeerClassFilter()
    const byType = defaultPeerClassTypeFilter()
    const of = (address: string, type: SocketType) => classesOf(address, type, byAddress, byType)
    expect(of('8.8.8.8', SocketType.utp)).toBe(0b001)
    expect(of('8.8.8.8', SocketType.tcp)).toBe(0b011)
    expect(of('8.8.8.8', SocketType.socks5)).toBe(0b011)
    expect(of('8.8.8.8', SocketType.httpSsl)).toBe(0b011)
    expect(of('127.0.0.1', SocketType.tcp)).toBe(0b110)
    expect(of('192.168.3.4', SocketType.utp)).toBe(0b100)
    expect(of('172.32.0.0', SocketType.utpSsl)).toBe(0b001)
    expect(of('::1', SocketType.tcp)).toBe(0b110)
    expect(of('fe80::1', SocketType.utp)).toBe(0b100)
    expect(of('2001:db8::1', SocketType.tcpSsl)).toBe(0b011)
  })

  test('the filter by kind of socket removes first and adds then', () => {
    const f = new PeerClassTypeFilter()
    expect(f.apply(PeerClassTypeFilter.tcpSocket, 0xffffffff)).toBe(0xffffffff)
    f.disallow(PeerClassTypeFilter.tcpSocket, 31)
    expect(f.apply(PeerClassTypeFilter.tcpSocket, 0xffffffff)).toBe(0x7fffffff)
    expect(f.apply(PeerClassTypeFilter.utpSocket, 0xffffffff)).toBe(0xffffffff)
    f.add(PeerClassTypeFilter.tcpSocket, 31)
    expect(f.apply(PeerClassTypeFilter.tcpSocket, 0)).toBe(0x80000000)
    const copy = f.clone()
    expect(copy.equals(f)).toBe(true)
    f.remove(PeerClassTypeFilter.tcpSocket, 31)
    f.allow(PeerClassTypeFilter.tcpSocket, 31)
    expect(f.apply(PeerClassTypeFilter.tcpSocket, 1)).toBe(1)
    expect(copy.equals(f)).toBe(false)
    expect(f.equals(new PeerClassTypeFilter())).toBe(true)
  })

  test('classes above 31 and unknown sockets are ignored', () => {
    const f = new PeerClassTypeFilter()
    f.add(0, 32)
    f.add(6, 1)
    f.disallow(-1, 1)
    f.disallow(0, -1)
    expect(f.equals(new PeerClassTypeFilter())).toBe(true)
    expect(f.apply(99, 5)).toBe(5)
  })
})
