// A program written for E2B's cloud: only E2B_DOMAIN and the key say where.
import { Sandbox } from '@e2b/code-interpreter'

const sandbox = await Sandbox.create({ timeoutMs: 120_000, metadata: { example: 'hello.mjs' } })
console.log('created', sandbox.sandboxId)
try {
  const run = await sandbox.commands.run('echo hello from $(whoami) in $(pwd)')
  console.log('command:', run.stdout.trim())

  await sandbox.files.write('/home/user/notes/today.txt', 'written by JavaScript\n')
  console.log('file:', (await sandbox.files.read('/home/user/notes/today.txt')).trim())
  console.log('listing:', (await sandbox.files.list('/home/user/notes')).map((entry) => entry.name))

  const execution = await sandbox.runCode(
    'import matplotlib.pyplot as plt\nplt.plot([1, 4, 9, 16])\nplt.show()\nsum(range(10))')
  if (execution.error) throw new Error(execution.error.traceback)
  const plot = execution.results.find((result) => result.png).png
  console.log('code:', execution.text, 'and a plot of', plot.length, 'base64 characters')

  await sandbox.commands.run('python3 -m http.server 8000', { background: true })
  const url = `https://${sandbox.getHost(8000)}/notes/today.txt`
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(url)
    const text = await answer.text()
    if (answer.status !== 502 || attempt === 49) {
      console.log('web:', url, answer.status, text.trim())
      if (!answer.ok) throw new Error('the web server was not reached')
      break
    }
    await new Promise((later) => setTimeout(later, 100))
  }
} finally {
  console.log('killed:', await sandbox.kill())
}
