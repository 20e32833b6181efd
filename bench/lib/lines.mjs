/** The lines by which peers of benchmarks talk to what started them. */

export function emit(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

/** Lines of standard input, to its end. */
export async function* commands() {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    const lines = (text + chunk).split('\n')
    text = lines.pop()
    yield* lines
  }
}
