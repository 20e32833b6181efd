/** The command line: its commands, their options, and the exit code of each way they can end. */

import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import { collectAssignment, collectPeer, collectUrl, parseListen, parseSeconds, parseSize } from './arguments.ts'
import type { CreateOptions } from './create.ts'
import type { DhtGetOptions, DhtPutOptions, DhtSampleOptions } from './dht.ts'
import type { DhtOptions } from './dht-session.ts'
import type { InfoOptions } from './info.ts'
import { type CliIo, type CommandContext, CommandError, printJson, UsageError } from './io.ts'
import type { TransferOptions } from './transfer-params.ts'
import type { VerifyOptions } from './verify.ts'

/** Exit codes, the same for all commands. */
export const ExitCode = Object.freeze({ done: 0, failed: 1, wrongUsage: 2 } as const)

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong usage.`

const TRANSFER_HELP = `
Ctrl-C saves how far it is to .<info-hash>.resume in DIR and ends; the same command goes on from there
without checking the files again. A second Ctrl-C ends at once. Names and defaults of the settings
for --set are in docs/settings.md.
${EXIT_CODES}`

/**
 * Runs one command.
 *
 * @param args without the names of Node and of the script
 * @returns the exit code
 */
export async function run(args: readonly string[], io: CliIo): Promise<number> {
  let code: number = ExitCode.done
  const program = buildProgram(io, async (json, action) => {
    const { stdout, stderr, env } = io
    const ctx = {
      ...{ stdout, stderr, env, json },
      get interrupt() {
        return io.interrupt
      },
    }
    code = await action(ctx)
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.wrongUsage
    report(error, io, args.includes('--json'))
    return error instanceof UsageError ? ExitCode.wrongUsage : ExitCode.failed
  }
}

function report(error: unknown, io: CliIo, json: boolean): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  if (json) printJson(io, { event: 'error', message })
  else io.stderr.write(`error: ${isExpected(error) ? message : stack}\n`)
}

/** Failures of the world are told in a line; ours with where they come from. */
function isExpected(error: unknown): boolean {
  return (
    error instanceof CommandError || error instanceof UsageError || (error as { code?: unknown })?.code !== undefined
  )
}

type Perform = (json: boolean, action: (ctx: CommandContext) => Promise<number>) => Promise<void>

interface Json {
  readonly json?: boolean
}

function buildProgram(io: CliIo, perform: Perform): Command {
  const program = new Command('libtorrent-ts')
    .description('BitTorrent on the command line')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .configureOutput({
      writeOut: text => io.stdout.write(text),
      writeErr: text => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns || 100,
      getErrHelpWidth: () => io.stderr.columns || 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', EXIT_CODES)
    .helpCommand(false)
  downloadCommand(program, perform)
  seedCommand(program, perform)
  createCommand(program, perform)
  readingCommands(program, perform)
  verifyCommand(program, perform)
  dhtCommands(program, perform)
  demoCommand(program, perform)
  return program
}

/** Adds what `download` and `seed` have in common. */
function withTransferOptions(command: Command): Command {
  return command
    .option('--listen <host:port>', 'address for incoming connections; port 0: any that is free', parseListen)
    .option('--peer <host:port>', 'peer to connect to; may be given again', collectPeer)
    .option('--sequential', 'get the pieces in order')
    .option('--set <name=value>', 'any setting of the session; may be given again', collectAssignment)
    .addOption(jsonOption())
    .addHelpText('after', TRANSFER_HELP)
}

function jsonOption(): Option {
  return new Option('--json', 'write one JSON object a line')
}

function downloadCommand(program: Command, perform: Perform): void {
  const command = program
    .command('download')
    .summary('get torrents')
    .description('Gets torrents, and ends when they are complete.')
    .argument('<torrent...>', 'files, magnet links or http(s) addresses of files')
    .option('--save-path <dir>', 'where the data goes', '.')
    .option('--seed', 'go on seeding when complete, until Ctrl-C')
  withTransferOptions(command).action((torrents: string[], options: TransferOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./download.ts')).download(torrents, options, ctx)),
  )
}

function seedCommand(program: Command, perform: Perform): void {
  const command = program
    .command('seed')
    .summary('give data to others')
    .description('Checks the data of a torrent and seeds it until Ctrl-C.')
    .argument('<torrent>', 'file, magnet link or http(s) address of a file')
    .requiredOption('--save-path <dir>', 'where the data is')
  withTransferOptions(command).action((torrent: string, options: TransferOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./seed.ts')).seed(torrent, options, ctx)),
  )
}

function createCommand(program: Command, perform: Perform): void {
  program
    .command('create')
    .summary('make a torrent')
    .description('Makes a torrent of a file or a directory: hybrid (v1 and v2) unless told otherwise.')
    .argument('<path>', 'file or directory')
    .requiredOption('-o, --output <file>', 'the torrent file to write')
    .addOption(new Option('--v1-only', 'for clients of any age').conflicts('v2Only'))
    .addOption(new Option('--v2-only', 'for clients that know BitTorrent v2').conflicts('v1Only'))
    .option('--piece-size <n>', 'bytes, such as 262144, 256K or 1M (default: by the size of the data)', parseSize)
    .option('--tracker <url>', 'tracker; each one given is a tier of its own', collectUrl)
    .option('--web-seed <url>', 'web server that has the data; may be given again', collectUrl)
    .option('--comment <text>', 'comment')
    .option('--private', 'peers come from the trackers only')
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((path: string, options: CreateOptions & Json) =>
      perform(options.json === true, async ctx => (await import('./create.ts')).create(path, options, ctx)),
    )
}

function readingCommands(program: Command, perform: Perform): void {
  program
    .command('info')
    .summary('what is in a torrent')
    .description('Shows what is in a torrent: name, files, sizes, hashes, trackers. Of a magnet link, peers are asked.')
    .argument('<torrent>', 'file, magnet link or http(s) address of a file')
    .option('--no-fetch', 'only what the magnet link itself says')
    .option('--timeout <seconds>', 'how long to look for peers that tell', parseSeconds, 120)
    .option('--peer <host:port>', 'peer to ask; may be given again', collectPeer)
    .option('--set <name=value>', 'any setting of the session; may be given again', collectAssignment)
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((torrent: string, options: InfoOptions & Json) =>
      perform(options.json === true, async ctx => (await import('./info.ts')).info(torrent, options, ctx)),
    )
  program
    .command('magnet')
    .summary('the magnet link of a torrent')
    .description('Writes the magnet link of a torrent.')
    .argument('<torrent>', 'file, or http(s) address of a file')
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((torrent: string, options: Json) =>
      perform(options.json === true, async ctx => (await import('./magnet.ts')).magnet(torrent, ctx)),
    )
}

function verifyCommand(program: Command, perform: Perform): void {
  program
    .command('verify')
    .summary('check data on disk')
    .description('Checks every piece of a torrent, and lists what is missing or damaged.')
    .argument('<torrent>', 'file, or http(s) address of a file')
    .requiredOption('--save-path <dir>', 'where the data is')
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((torrent: string, options: VerifyOptions & Json) =>
      perform(options.json === true, async ctx => (await import('./verify.ts')).verify(torrent, options, ctx)),
    )
}

/** Adds what all commands of the DHT have. */
function withDhtOptions(command: Command): Command {
  return command
    .option('--bootstrap <host:port>', 'node to begin with; may be given again', collectPeer)
    .option('--listen <host:port>', 'UDP address of our node', parseListen)
    .option('--timeout <seconds>', 'how long it may take', parseSeconds, 60)
    .option('--set <name=value>', 'any setting of the session; may be given again', collectAssignment)
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
}

function dhtCommands(program: Command, perform: Perform): void {
  const dht = program
    .command('dht')
    .summary('use the DHT itself')
    .description('Looks up and stores what is in the DHT (BEP 5, 44, 51).')
    .helpCommand(false)
    .addHelpText('after', EXIT_CODES)
  withDhtOptions(
    dht
      .command('peers')
      .summary('who is in a swarm')
      .description('Writes the addresses of peers, one a line, as they are found.')
      .argument('<torrent>', 'info-hash of 40 hex digits, or magnet link'),
  ).action((torrent: string, options: DhtOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./dht.ts')).dhtPeers(torrent, options, ctx)),
  )
  withDhtOptions(
    dht
      .command('get')
      .summary('read an item')
      .description('Writes the value of an item: text and bytes as they are, lists and dictionaries as JSON.')
      .argument('<target>', '40 hex digits of an immutable item, or the public key, 64 hex digits, of a mutable one')
      .option('--salt <text>', 'which of the items of that key'),
  ).action((target: string, options: DhtGetOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./dht.ts')).dhtGet(target, options, ctx)),
  )
  withDhtOptions(
    dht
      .command('put')
      .summary('store an item')
      .description(
        'Stores text, of at most 1000 bytes, and writes what it is found by. Nodes keep it for about two hours.',
      )
      .argument('<text>', 'the value')
      .option('--file', 'the value is in the file of that name')
      .option(
        '--key <file>',
        'store it as the next version of the item of this secret key; the file is made if it is not there',
      )
      .option('--salt <text>', 'which of the items of that key'),
  ).action((text: string, options: DhtPutOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./dht.ts')).dhtPut(text, options, ctx)),
  )
  withDhtOptions(
    dht
      .command('sample')
      .summary('info-hashes that nodes know')
      .description('Asks nodes for some of the info-hashes that they have peers of, and writes them, one a line.')
      .option('--node <host:port>', 'node to ask, instead of some that we know; may be given again', collectPeer),
  ).action((options: DhtSampleOptions & Json) =>
    perform(options.json === true, async ctx => (await import('./dht.ts')).dhtSample(options, ctx)),
  )
}

function demoCommand(program: Command, perform: Perform): void {
  program
    .command('demo')
    .summary('see it work')
    .description('Makes sample data, seeds it, downloads it over loopback through a tracker, and compares.')
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((options: Json) => perform(options.json === true, async ctx => (await import('./demo.ts')).demo(ctx)))
}

/** From the manifest, which lies two directories up from the sources as from what is built of them. */
function packageVersion(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
