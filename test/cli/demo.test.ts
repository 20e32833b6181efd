import { expect, test } from 'vitest'
import { Command } from './lib/command.ts'

test('the demo makes, seeds, downloads and compares', async () => {
  const command = new Command(['demo', '--json'])
  expect(await command.exit, command.stdout + command.stderr).toBe(0)
  const steps = command.events.filter(e => e.event === 'demo').map(e => e['step'])
  expect(steps).toEqual(['data', 'create', 'seed', 'download', 'verify', 'done'])
  expect(command.events.filter(e => e.event === 'complete')).toHaveLength(1)
})
