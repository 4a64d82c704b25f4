// sdk_js - the published JavaScript SDK, unmodified, against a gateway.
//
// node sdk_js.mjs FOLDER [WORD...]: FOLDER holds node_modules with e2b and,
// maybe, @e2b/code-interpreter.  Run where ./quickstart sh puts it.
import { createRequire } from 'node:module'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const folder = path.resolve(process.argv[2])
const words = process.argv.slice(3)
const require = createRequire(path.join(folder, 'x.js'))
const load = async (name) => {
  if (!existsSync(path.join(folder, 'node_modules', name))) return null
  const meta = JSON.parse(readFileSync(path.join(folder, 'node_modules', name, 'package.json')))
  const module = await import(pathToFileURL(require.resolve(name)).href)
  return { ...module, ...(module.default ?? {}), version: meta.version }
}
const e2b = await load('e2b')
const code = await load('@e2b/code-interpreter')
const { Sandbox } = e2b
const title = `js e2b ${e2b.version}` + (code ? `, code-interpreter ${code.version}` : '')
const other = process.env.SANDGATE_OTHER_KEY

let passed = 0
let failed = 0
const check = async (name, run) => {
  if (words.length && !words.some((word) => name.includes(word))) return
  const start = Date.now()
  try {
    await run()
    passed++
    console.log(`ok   ${title}: ${name} (${((Date.now() - start) / 1000).toFixed(2)} s)`)
  } catch (error) {
    failed++
    console.log(`FAIL ${title}: ${name}: ${error?.name}: ${error?.message}\n${error?.stack?.split('\n').slice(1, 5).join('\n')}`, error?.cause ?? '')
  }
}
const equal = (have, want) => {
  const [a, b] = [JSON.stringify(have), JSON.stringify(want)]
  if (a !== b) throw new Error(`${a} is not ${b}`)
}
const yes = (have, what) => {
  if (!have) throw new Error(what)
}
const raises = async (names, promise, text) => {
  let have
  try {
    have = await promise
  } catch (error) {
    const chain = []
    for (let k = error.constructor; k && k.name; k = Object.getPrototypeOf(k)) chain.push(k.name)
    chain.push(error.name)
    if (![names].flat().some((name) => chain.includes(name))) throw new Error(`${chain[0]} "${error.message}", not ${names}`)
    if (text && !error.message.includes(text)) throw new Error(`"${error.message}" lacks "${text}"`)
    return error
  }
  throw new Error(`no exception, but ${JSON.stringify(have)}`)
}
const later = (ms) => new Promise((done) => setTimeout(done, ms))
const listed = async (options) => {
  const pages = Sandbox.list(options)
  const all = []
  while (pages.hasNext) all.push(...(await pages.nextItems()))
  return all
}

await check('create tells what was asked', async () => {
  const sandbox = await Sandbox.create('base', { timeoutMs: 60_000, metadata: { who: 'ann', 'a b': 'c&d=é%' }, envs: { X: '1' } })
  const info = await Sandbox.getInfo(sandbox.sandboxId)
  equal(info.metadata, { who: 'ann', 'a b': 'c&d=é%' })
  equal(info.sandboxId, sandbox.sandboxId)
  equal(await sandbox.isRunning(), true)
  equal((await sandbox.commands.run('echo $X')).stdout, '1\n')
  const killed = await sandbox.kill() // older ones tell nothing
  yes(killed === true || killed === undefined, 'killed')
  equal(await sandbox.isRunning(), false)
  equal(await Sandbox.kill(sandbox.sandboxId), false)
})
await check('list filters and pages', async () => {
  const tag = randomBytes(4).toString('hex')
  const made = []
  for (let n = 0; n < 3; n++) made.push(await Sandbox.create('base', { timeoutMs: 60_000, metadata: { run: tag, 'n &=%é': `${n} ü` } }))
  try {
    equal((await listed({ query: { metadata: { run: tag } }, limit: 2 })).map((item) => item.sandboxId), made.map((s) => s.sandboxId).reverse())
    equal((await listed({ query: { metadata: { 'n &=%é': '1 ü', run: tag } } })).map((item) => item.sandboxId), [made[1].sandboxId])
  } finally {
    await Promise.all(made.map((sandbox) => sandbox.kill()))
  }
})
await check('bad keys are refused', async () => {
  await raises('AuthenticationError', Sandbox.create('base', { apiKey: 'e2b_' + '0'.repeat(40) }))
})
await check('promises that are not kept are refused', async () => {
  await raises('SandboxError', Sandbox.create('no-such-template'), '404')
  await raises('SandboxError', Sandbox.create('base', { network: { denyOut: ['0.0.0.0/0'] } }), 'denyOut')
})

const sandbox = await Sandbox.create('base', { timeoutMs: 600_000 })
await check('connect extends and never shortens', async () => {
  const before = (await Sandbox.getInfo(sandbox.sandboxId)).endAt
  const again = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 10_000 })
  equal((await Sandbox.getInfo(sandbox.sandboxId)).endAt, before)
  equal((await again.commands.run('echo again')).stdout, 'again\n')
  await sandbox.setTimeout(900_000)
  const end = (await Sandbox.getInfo(sandbox.sandboxId)).endAt
  yes(Math.abs(end - Date.now() - 900_000) < 10_000, `end ${end}`)
})
await check('another team sees nothing', async () => {
  await raises(['NotFoundError', 'SandboxNotFoundError'], Sandbox.connect(sandbox.sandboxId, { apiKey: other }))
  await raises(['NotFoundError', 'SandboxNotFoundError'], Sandbox.getInfo(sandbox.sandboxId, { apiKey: other }))
  equal(await Sandbox.kill(sandbox.sandboxId, { apiKey: other }), false)
  equal(await sandbox.isRunning(), true)
})
await check('command results', async () => {
  const run = await sandbox.commands.run('echo out; echo err >&2')
  equal([run.stdout, run.stderr, run.exitCode], ['out\n', 'err\n', 0])
  const error = await raises('CommandExitError', sandbox.commands.run('echo x; exit 3'))
  equal([error.exitCode, error.stdout], [3, 'x\n'])
  equal((await sandbox.commands.run('whoami; pwd', { user: 'root' })).stdout, 'root\n/root\n')
  equal((await sandbox.commands.run('pwd; printf %s "$A"', { cwd: '/tmp', envs: { A: 'it\'s "é" \\' } })).stdout, '/tmp\nit\'s "é" \\')
})
await check('command errors', async () => {
  await raises('InvalidArgumentError', sandbox.commands.run('true', { cwd: '/no/such' }), "cwd '/no/such' does not exist")
  await raises('AuthenticationError', sandbox.commands.run('true', { user: 'nobody-here' }))
  await raises('TimeoutError', sandbox.commands.run('sleep 30', { timeoutMs: 1000 }))
})
await check('output streams', async () => {
  const seen = []
  await sandbox.commands.run('for i in 1 2 3; do echo $i; sleep 0.3; done', { onStdout: () => seen.push(Date.now()) })
  yes(seen.at(-1) - seen[0] > 400, 'pieces come as they are written')
  equal((await sandbox.commands.run("head -c 5000000 /dev/zero | tr '\\0' 'x'")).stdout.length, 5_000_000)
})
await check('background, list, connect, kill', async () => {
  const handle = await sandbox.commands.run('sleep 60', { background: true })
  const row = (await sandbox.commands.list()).find((item) => item.pid === handle.pid)
  equal([row.cmd, row.args], ['/bin/bash', ['-l', '-c', 'sleep 60']])
  await handle.disconnect()
  const again = await sandbox.commands.connect(handle.pid)
  equal(await sandbox.commands.kill(handle.pid), true)
  equal((await raises('CommandExitError', again.wait())).exitCode, -1)
  equal(await sandbox.commands.kill(handle.pid), false)
})
await check('files', async () => {
  const info = await sandbox.files.write('notes/a.txt', 'hello é\n')
  equal([info.name, info.path], ['a.txt', '/home/user/notes/a.txt'])
  equal(await sandbox.files.read('/home/user/notes/a.txt'), 'hello é\n')
  await sandbox.files.write('empty', '')
  equal(await sandbox.files.read('empty'), '')
  const bytes = randomBytes(3_000_000)
  await sandbox.files.write('/tmp/blob', bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
  yes(Buffer.from(await sandbox.files.read('/tmp/blob', { format: 'bytes' })).equals(bytes), 'same bytes')
  await sandbox.files.write([{ path: 'many/1', data: 'one' }, { path: 'many/2', data: 'two' }])
  equal((await sandbox.files.list('many')).map((item) => [item.name, item.type]), [['1', 'file'], ['2', 'file']])
  equal(await sandbox.files.makeDir('fresh'), true)
  equal(await sandbox.files.makeDir('fresh'), false)
  equal(await sandbox.files.exists('fresh'), true)
  equal(await sandbox.files.exists('none'), false)
  equal((await sandbox.files.rename('many/1', 'fresh/1')).path, '/home/user/fresh/1')
  await sandbox.files.remove('many')
  equal(await sandbox.files.exists('many'), false)
  await raises('NotFoundError', sandbox.files.read('no/such'))
  await raises('InvalidArgumentError', sandbox.files.read('/home/user'))
})
await check('files by signed links', async () => {
  await sandbox.files.write('signed.txt', 'by link')
  const answer = await fetch(await sandbox.downloadUrl('signed.txt'))
  equal([answer.status, await answer.text()], [200, 'by link'])
  const form = new FormData()
  form.append('file', 'text')
  const up = await fetch(await sandbox.uploadUrl('up.txt'), { method: 'POST', body: form })
  equal([up.status, await up.json()], [200, [{ name: 'up.txt', path: '/home/user/up.txt', type: 'file' }]])
  equal(await sandbox.files.read('up.txt'), 'text')
})
await check('ports', async () => {
  await sandbox.commands.run('mkdir -p web && echo hi > web/a.txt && cd web && exec python3 -m http.server 8000', { background: true })
  let answer
  for (let n = 0; n < 100; n++) {
    answer = await fetch(`https://${sandbox.getHost(8000)}/a.txt`)
    if (answer.status !== 502) break
    await answer.arrayBuffer()
    await later(50)
  }
  equal([answer.status, await answer.text()], [200, 'hi\n'])
  const closed = await fetch(`https://${sandbox.getHost(8001)}/`)
  equal([closed.status, await closed.json()], [502, { sandboxId: sandbox.sandboxId, message: 'The sandbox is running but port is not open', port: 8001, code: 502 }])
  const many = await Promise.all(Array.from({ length: 20 }, () => fetch(`https://${sandbox.getHost(8000)}/a.txt`).then((a) => a.text())))
  equal(many, Array(20).fill('hi\n'))
})
await check('killed mid-run', async () => {
  const doomed = await Sandbox.create('base', { timeoutMs: 60_000 })
  setTimeout(() => doomed.kill(), 1000)
  const [, minor] = e2b.version.split('.').map(Number)
  // Before 2.2x the SDK did not ask /health when a stream was cut.
  if (minor < 26) await raises('SandboxError', doomed.commands.run('sleep 30'), 'terminated')
  else await raises('TimeoutError', doomed.commands.run('sleep 30'), 'killed or reached its end of life')
})
await sandbox.kill()

if (code) {
  const box = await code.Sandbox.create({ timeoutMs: 600_000 })
  await check('code results', async () => {
    equal((await box.runCode('x = 20\nx + 1')).text, '21')
    equal((await box.runCode('x * 2')).text, '40')
    const run = await box.runCode('import sys\nprint("out é")\nprint("err", file=sys.stderr)')
    equal([run.logs.stdout, run.logs.stderr], [['out é\n'], ['err\n']])
    const bad = await box.runCode('1 / 0')
    equal([bad.error.name, bad.error.value], ['ZeroDivisionError', 'division by zero'])
    equal((await box.runCode("import os; os.environ['Q']", { envs: { Q: 'v' } })).text, 'v')
  })
  await check('code with a plot and a table', async () => {
    const plot = await box.runCode('import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()')
    yes(plot.results[0]?.png?.startsWith('iVBOR'), JSON.stringify(plot.error))
    const table = await box.runCode("import pandas as pd\npd.DataFrame({'a': [1]})")
    yes(table.results[0].html.includes('<table'), 'a table')
  })
  await check('code is interrupted when its client leaves', async () => {
    await raises('TimeoutError', box.runCode('import time\ntime.sleep(30)', { timeoutMs: 1500 }))
    const start = Date.now()
    equal((await box.runCode('7')).text, '7')
    yes(Date.now() - start < 10_000, 'the next run is not held up')
  })
  await box.kill()
}
console.log(`${title}: ${passed} passed, ${failed} failed`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
