import { runtimeSuite } from './runtime.ts'
import { WORLDS } from './runtime-worlds.ts'

for (const world of WORLDS) runtimeSuite(world)
