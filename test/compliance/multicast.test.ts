import { lanWorlds, multicastSuite } from './multicast.ts'

for (const world of lanWorlds()) multicastSuite(world)
