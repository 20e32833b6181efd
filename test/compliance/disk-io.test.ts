import { diskIoSuite } from './disk-io-suite.ts'
import { memoryDiskWorld, nodeDiskWorld } from './disk-io-worlds.ts'

diskIoSuite(memoryDiskWorld)
diskIoSuite(nodeDiskWorld)
