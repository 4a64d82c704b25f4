// browser - a real browser (Chromium, headless) on preview hosts.
//
// browser.mjs FOLDER [WORD...]: FOLDER holds node_modules/playwright-core; only
// checks whose name has one of the words.  Run in the environment that
// ./quickstart sh gives.  Pictures of the pages go to build/pages/.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

const [folder, ...words] = process.argv.slice(2)
const { chromium } = createRequire(path.join(folder, 'x.js'))('playwright-core')
const here = path.dirname(new URL(import.meta.url).pathname)
const pictures = path.join(here, '../../build/pages')
const { E2B_DOMAIN, E2B_API_KEY, SANDGATE_CA, SANDGATE_PREVIEW_DOMAIN } = process.env
let passed = 0
let failed = 0

// ---- small things ----

async function check(name, run) {
    if (words.length && !words.some(word => name.includes(word))) return
    const start = Date.now()
    const context = await browser.newContext()
    context.setDefaultTimeout(10000)
    try {
        await run(context)
        passed++
        console.log(`ok   browser: ${name} (${((Date.now() - start) / 1000).toFixed(2)} s)`)
    } catch (error) {
        failed++
        console.log(`FAIL browser: ${name}: ${error.stack}`)
    }
    await context.close()
}

function equal(have, want, what = '') {
    if (JSON.stringify(have) !== JSON.stringify(want))
        throw new Error(`${what} ${JSON.stringify(have)} is not ${JSON.stringify(want)}`)
}

function true_(have, what) {
    if (!have) throw new Error(what)
}

async function api(method, target, body) {
    const answer = await fetch(`https://api.${E2B_DOMAIN}${target}`, {
        method,
        headers: { 'X-API-Key': E2B_API_KEY, 'Content-Type': 'application/json' },
        body: body && JSON.stringify(body),
    })
    const text = await answer.text()
    true_(answer.ok, `${method} ${target}: ${answer.status} ${text}`)
    return text && JSON.parse(text)
}

const hostOf = (box, port = 3000) => `${port}-${box.sandboxID}.${SANDGATE_PREVIEW_DOMAIN}`
const mint = (box, more) => api('POST', `/sandboxes/${box.sandboxID}/links`, { port: 3000, ttlSeconds: 600, ...more })

function frame(message) {
    const data = Buffer.from(JSON.stringify(message))
    const head = Buffer.alloc(5)
    head.writeUInt32BE(data.length, 1)
    return Buffer.concat([head, data])
}

// A sandbox with port_app.py in it; returns once it listens.
async function made(name, port = 3000) {
    const box = await api('POST', '/v2/sandboxes', { templateID: 'base', timeout: 300 })
    await run(box, name, port)
    return box
}

async function run(box, name, port) {
    const daemon = `https://49983-${box.sandboxID}.${E2B_DOMAIN}`
    const headers = { 'X-Access-Token': box.envdAccessToken }
    await fetch(`${daemon}/files?path=/home/user/port_app.py&username=user`, {
        method: 'POST', headers: { ...headers, 'Content-Type': 'application/octet-stream' },
        body: fs.readFileSync(path.join(here, 'port_app.py')),
    })
    const leave = new AbortController()
    const answer = await fetch(`${daemon}/process.Process/Start`, {
        method: 'POST', signal: leave.signal,
        headers: { ...headers, 'Content-Type': 'application/connect+json', 'Connect-Protocol-Version': '1' },
        body: frame({ process: { cmd: '/usr/bin/python3', args: ['/home/user/port_app.py', `${port}`, name] }, stdin: false }),
    })
    let said = ''
    for await (const piece of answer.body) {
        said += Buffer.from(piece).toString('latin1')
        if (said.includes(Buffer.from('listening\n').toString('base64'))) break
    }
    leave.abort()
}

// The private CA is trusted as a user would: in the NSS database of a HOME
// that is thrown away.
function trust() {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'sandgate-browser.'))
    const store = path.join(home, '.pki/nssdb')
    fs.mkdirSync(store, { recursive: true })
    execFileSync('certutil', ['-d', `sql:${store}`, '-N', '--empty-password'])
    execFileSync('certutil', ['-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'sandgate', '-i', SANDGATE_CA])
    return home
}

async function history(context, page) {
    const session = await context.newCDPSession(page)
    return (await session.send('Page.getNavigationHistory')).entries.map(entry => entry.url)
}

// What the app heard of a request that the page makes.
const echo = (page, target = '/echo') => page.evaluate(async where => (await fetch(where)).json(), target)

// ---- checks ----

async function linksBecomeCookies(context) {
    const page = await context.newPage()
    const link = await mint(a)
    const token = new URL(link.url).searchParams.get('token')
    await page.goto(link.url)
    equal(page.url(), `https://${hostOf(a)}/`)
    equal(await page.title(), 'a')
    equal(await page.evaluate(() => document.cookie), '')
    equal(await page.evaluate(() => document.referrer), '')
    const [cookie, ...others] = await context.cookies()
    equal(others, [])
    equal([cookie.name, cookie.domain, cookie.path, cookie.secure, cookie.httpOnly, cookie.sameSite],
        ['__Host-sandgate-preview', hostOf(a).split(':')[0], '/', true, true, 'Lax'])
    true_(cookie.expires <= Date.now() / 1000 + 601, 'the cookie goes with its link')
    await page.click('#next')
    await page.waitForURL('**/next?q=1')
    const heard = JSON.stringify(await echo(page))
    for (const secret of [token, cookie.value, 'token=', '__Host-'])
        true_(!heard.includes(secret), `the app heard ${secret}: ${heard}`)
    true_(heard.includes(`https://${hostOf(a)}/next?q=1`), 'a Referer of its own reaches the app')
    for (const url of await history(context, page)) true_(!url.includes('token'), url)
    await page.goBack()
    equal(page.url(), `https://${hostOf(a)}/`)
    const again = await context.newPage()
    await again.goto(`https://${hostOf(a)}/next`)
    equal(await again.title(), 'a')
}

async function siblingsAreApart(context) {
    const [pageA, pageB] = [await context.newPage(), await context.newPage()]
    await pageA.goto((await mint(a)).url)
    await pageB.goto((await mint(b)).url)
    const of = async box => (await context.cookies()).filter(cookie => cookie.domain === hostOf(box).split(':')[0])
    const before = await of(b)
    equal([before.length, (await of(a)).length], [1, 1])
    // A's script tries to set what B sends to us, in every spelling.
    await pageA.evaluate(parent => {
        for (const name of ['__Host-sandgate-preview', '__host-sandgate-preview', ' __Host-sandgate-preview'])
            for (const more of [`; Domain=${parent}`, `; Domain=${parent}; Secure; Path=/`, '; Secure; Path=/', ''])
                document.cookie = `${name}=forged${more}`
        document.cookie = `=__Host-sandgate-preview=forged; Domain=${parent}; Path=/; Secure`
    }, SANDGATE_PREVIEW_DOMAIN.split(':')[0])
    // And its server.
    await pageA.evaluate(parent => fetch('/cookies', { headers: { 'X-Domain': parent } }), SANDGATE_PREVIEW_DOMAIN.split(':')[0])
    equal((await of(b)).map(cookie => cookie.value), before.map(cookie => cookie.value))
    const heard = await echo(pageB)
    true_(!JSON.stringify(heard).includes('wide') && !JSON.stringify(heard).includes('forged'), JSON.stringify(heard))
    equal((await pageB.reload()).status(), 200)
    equal((await pageA.reload()).status(), 200)
    // A's script asks for B's things, with B's cookie.
    const statuses = {}
    context.on('response', answer => { statuses[`${answer.request().method()} ${new URL(answer.url()).pathname}`] = answer.status() })
    const got = await pageA.evaluate(async host => {
        const ask = (target, more) => fetch(`https://${host}${target}`, { credentials: 'include', ...more }).then(() => 'answer', () => 'refused')
        const frame = document.createElement('iframe')
        frame.src = `https://${host}/framed`
        document.body.append(frame)
        await new Promise(resolve => { frame.onload = resolve })
        return [await ask('/read'), await ask('/write', { method: 'POST', mode: 'no-cors' }), await ask('/opaque', { mode: 'no-cors' }),
            await new Promise(resolve => {
                const socket = new WebSocket(`wss://${host}/ws`)
                socket.onopen = () => resolve('open')
                socket.onerror = () => resolve('refused')
            })]
    }, hostOf(b))
    equal([got[0], got[3]], ['refused', 'refused'])
    equal([statuses['POST /write'], statuses['GET /opaque'], statuses['GET /framed']], [403, 403, 403])
    // A link from one to the other is no attack.
    await pageA.evaluate(host => { location.href = `https://${host}/next` }, hostOf(b))
    await pageA.waitForURL(`https://${hostOf(b)}/next`)
    equal(await pageA.title(), 'b')
}

async function portsOfOneSandboxWorkTogether(context) {
    const page = await context.newPage()
    await page.goto((await mint(a, { port: 8000 })).url)
    await page.goto((await mint(a)).url)
    const heard = await page.evaluate(async host => {
        const answer = await fetch(`https://${host}/cors`, {
            method: 'PUT', credentials: 'include', headers: { 'X-Custom': '1' }, body: 'x' })
        return [answer.status, await answer.text()]
    }, hostOf(a, 8000)).catch(error => String(error))
    // The app allows every origin, and a browser wants its name with cookies.
    equal(heard, [200, 'x'])
}

async function aDevelopmentServerReloads(context) {
    const page = await context.newPage()
    const link = await mint(a)
    const failures = []
    page.on('pageerror', error => failures.push(String(error)))
    await page.goto(link.url)
    await page.waitForFunction(() => document.documentElement.dataset.hmr === 'open')
    const token = new URL(link.url).searchParams.get('token')
    const touch = query => fetch(`https://${hostOf(a)}/touch${query}`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } })
    const before = await page.textContent('#version')
    equal((await touch('')).status, 200)
    await page.waitForFunction(text => document.getElementById('version').textContent !== text, before)
    const loaded = page.waitForEvent('load')
    await touch('?reload')
    await loaded
    await page.waitForFunction(() => document.documentElement.dataset.hmr === 'open')
    equal(failures, [])
    // The kill switch: the socket closes, the next page says why.
    const start = Date.now()
    await api('DELETE', `/sandboxes/${a.sandboxID}/links/${link.linkId}`)
    await page.waitForFunction(() => document.documentElement.dataset.hmr === 'closed')
    true_(Date.now() - start < 1000, `closed after ${Date.now() - start} ms`)
    equal((await page.reload()).status(), 401)
    equal(await page.textContent('h1'), 'This link was withdrawn')
    equal(await context.cookies(), [])
    await page.goto((await mint(a)).url)
    equal(await page.title(), 'a')
}

async function aNewLinkIsNotHinderedByAnOldCookie(context) {
    const page = await context.newPage()
    const old = await mint(a)
    await page.goto(old.url)
    await api('DELETE', `/sandboxes/${a.sandboxID}/links/${old.linkId}`)
    await page.goto((await mint(a)).url)
    equal([await page.title(), page.url()], ['a', `https://${hostOf(a)}/`])
}

async function thePages(context) {
    const gone = await made('gone')
    const goneLink = await mint(gone)
    await api('DELETE', `/sandboxes/${gone.sandboxID}`)
    const short = await mint(a, { ttlSeconds: 1 })
    const closed = await mint(a, { port: 5173 })
    const withdrawn = await mint(a)
    const narrow = await mint(a, { pathPrefix: '/docs' })
    await api('DELETE', `/sandboxes/${a.sandboxID}/links/${withdrawn.linkId}`)
    await new Promise(resolve => setTimeout(resolve, 1100))
    const rows = [
        ['gone', goneLink.url, 502, 'This sandbox has ended'],
        ['port-closed', closed.url, 502, 'Nothing is listening here yet'],
        ['expired', short.url, 401, 'This link has expired'],
        ['withdrawn', withdrawn.url, 401, 'This link was withdrawn'],
        ['invalid', `https://${hostOf(b)}/?token=nonsense`, 401, 'This link is not valid'],
        ['wrong-target', narrow.url.replace('/docs', '/'), 403, 'This link does not open this page'],
        ['missing', `https://${hostOf(b)}/`, 401, 'A link is needed to see this'],
        ['nothing', `https://admin.${SANDGATE_PREVIEW_DOMAIN}/`, 404, 'There is nothing at this address'],
        ['private', `https://3000-${hidden.sandboxID}.${E2B_DOMAIN}/`, 403, 'This sandbox is private'],
    ]
    const page = await context.newPage()
    const requests = []
    page.on('request', request => requests.push(request.url()))
    for (const [name, url, status, title] of rows) {
        const answer = await page.goto(url)
        equal([answer.status(), await page.textContent('h1')], [status, title], name)
        true_((await answer.body()).length <= 7168, `${name} is at most 7 KiB`)
        for (const scheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme: scheme })
            await page.setViewportSize({ width: 900, height: 560 })
            await page.screenshot({ path: path.join(pictures, `${name}-${scheme}.png`) })
        }
        await page.setViewportSize({ width: 360, height: 640 })
        true_(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} fits a telephone`)
        await page.screenshot({ path: path.join(pictures, `${name}-small.png`) })
    }
    equal(requests.filter(url => !rows.some(row => url.startsWith(new URL(row[1]).origin))), [], 'nothing from elsewhere')
}

// ---- all of them ----

fs.mkdirSync(pictures, { recursive: true })
const home = trust()
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'], env: { ...process.env, HOME: home },
})
const [a, b, hidden] = await Promise.all([made('a'), made('b'),
    api('POST', '/v2/sandboxes', { templateID: 'base', timeout: 300, network: { allowPublicTraffic: false } })])
await run(a, 'a', 8000)
try {
    await check('links become cookies', linksBecomeCookies)
    await check('siblings are apart', siblingsAreApart)
    await check('ports of one sandbox work together', portsOfOneSandboxWorkTogether)
    await check('a development server reloads', aDevelopmentServerReloads)
    await check('a new link is not hindered by an old cookie', aNewLinkIsNotHinderedByAnOldCookie)
    await check('the pages', thePages)
} finally {
    await browser.close()
    for (const box of [a, b, hidden]) await api('DELETE', `/sandboxes/${box.sandboxID}`)
    fs.rmSync(home, { recursive: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
