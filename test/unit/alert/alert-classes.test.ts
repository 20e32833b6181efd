import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as base from '../../../src/alert/alert.ts'
import { ALERT_NAMES, numAlertTypes } from '../../../src/alert/alert-names.ts'
import * as dht from '../../../src/alert/dht-alerts.ts'
import * as log from '../../../src/alert/log-alerts.ts'
import * as peer from '../../../src/alert/peer-alerts.ts'
import * as portmap from '../../../src/alert/portmap-alerts.ts'
import * as session from '../../../src/alert/session-alerts.ts'
import * as stats from '../../../src/alert/stats-alerts.ts'
import * as storage from '../../../src/alert/storage-alerts.ts'
import * as torrent from '../../../src/alert/torrent-alerts.ts'
import * as tracker from '../../../src/alert/tracker-alerts.ts'
import { AlertPriority } from '../../../src/core/enums.ts'

const classes: Record<string, unknown> = {
  ...dht,
  ...log,
  ...peer,
  ...portmap,
  ...session,
  ...stats,
  ...storage,
  ...torrent,
  ...tracker,
}
const bases = {
  Alert: base.Alert,
  TorrentAlert: base.TorrentAlert,
  PeerAlert: base.PeerAlert,
  TrackerAlert: base.TrackerAlert,
}
const inventory = new URL('../../../../shared/api/alerts.json', import.meta.url)
interface Row {
  id: number
  ts: string
  what: string
  categoryMask: number
  priority: keyof typeof AlertPriority
  base: 'Alert' | 'TorrentAlert' | 'PeerAlert' | 'TrackerAlert'
}

test('every class has its own type id and name', () => {
  const ids = new Map<number, string>()
  for (const [name, cls] of Object.entries(classes)) {
    const { alertType, prototype } = cls as base.AlertClass
    expect(ids.get(alertType), name).toBeUndefined()
    ids.set(alertType, name)
    expect(alertType).toBeLessThan(numAlertTypes)
    expect(prototype.what(), name).toBe(ALERT_NAMES[alertType])
    expect(prototype.type(), name).toBe(alertType)
  }
  expect(ids.size).toBe(97)
})

describe.runIf(existsSync(inventory))('beside the inventory of the API', () => {
  const rows = existsSync(inventory) ? (JSON.parse(readFileSync(inventory, 'utf8')).alerts as Row[]) : []

  test.each(rows.map(row => [row.ts, row] as const))('%s has the id, category and priority it must have', (_, row) => {
    const cls = classes[row.ts] as base.AlertClass
    expect(cls.alertType).toBe(row.id)
    expect(cls.staticCategory).toBe(row.categoryMask)
    expect(cls.priority).toBe(AlertPriority[row.priority])
    expect(cls.prototype.category()).toBe(row.categoryMask)
    expect(cls.prototype.what()).toBe(row.what)
    expect(cls.prototype).toBeInstanceOf(bases[row.base])
  })
})

test('a cast gives the alert if it is of the type, and null else', () => {
  const alert: base.Alert = new log.LogAlert('x')
  expect(base.alertCast(alert, log.LogAlert)?.logMessage()).toBe('x')
  expect(base.alertCast(alert, dht.DhtBootstrapAlert)).toBe(null)
})

test('an alert as text is its message', () => {
  expect(`${new log.LogAlert('x')}`).toBe('x')
})

test('session statistics are keyed by name and by index', () => {
  const counters = new Float64Array(318)
  counters[3] = 7
  const alert = new stats.SessionStatsAlert(counters)
  expect(alert.values['peer.connreset_peers']).toBe(7)
  expect(Object.keys(alert.values).length).toBe(318)
  expect(alert.values).toBe(alert.values)
  expect(alert.counters()[3]).toBe(7)
  expect(alert.message().startsWith('session stats (318 values): 0, 0, 0, 7, 0, ')).toBe(true)
  expect(new stats.SessionStatsHeaderAlert().message()).toMatch(
    /^session stats header: peer\.error_peers, .*tracker\.num_queued_tracker_announces$/,
  )
})
