/// <reference lib="dom" />
/** The live view as somebody at a browser sees it, and as a page of another site does not. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { LiveRunState } from '../../src/cli/live-run.js'
import { type LiveView, liveView } from '../../src/cli/serve.js'
import { programFile } from '../../src/experiment/agent-process.js'
import { parseScenario } from '../../src/experiment/scenario.js'
import { defaultScenarioText } from '../../src/experiment/scenario-default.js'
import { added, liveRunHtml } from '../../src/report/live.js'
import { noBrowser, openAddress } from '../report/browser.js'
import { temporaryDirectory, temporaryFile } from '../support/temporary.js'

const scenario = parseScenario(defaultScenarioText, 'default scenario')

/** A view of a run whose events a test makes up, on a clock of its own. */
async function replayed(
  t: TestContext,
): Promise<{ view: LiveView; state: LiveRunState; wait(ms: number): void }> {
  let nowNs = 0
  const view: LiveView = await liveView({
    title: 'a <run>',
    port: 0,
    draw: (size) => liveRunHtml(state.run, size),
  })
  const state = new LiveRunState(
    'a run',
    scenario,
    () => nowNs,
    () => view.changed(),
  )
  t.after(() => view.close())
  return {
    view,
    state,
    wait: (ms) => {
      nowNs += ms * 1e6
    },
  }
}

function someRounds(state: LiveRunState, wait: (ms: number) => void): void {
  state.phase('migrating')
  for (let round = 0; round < 3; round++) {
    const last = round === 2
    if (last) state.journal({ at_ns: 0, event: 'intent', do: 'suspend', round })
    state.journal({ at_ns: 0, event: 'intent', do: 'copy', round, pages: 1000, lanes: ['bulk'] })
    for (let i = 1; i <= 4; i++) {
      wait(250)
      state.progress({
        elapsedNs: 0,
        phase: last ? 'suspended' : 'running',
        pagesConfirmed: round * 1000 + 250 * i,
        dirtyPages: 10 * i,
        guestWrites: 0,
      })
      const classes = [
        { pcp: 7, dscp: 56, frames: 100, bytes: 150_000 },
        { pcp: 0, dscp: 0, frames: 10, bytes: 15_000 },
      ]
      state.interval({ duration_ms: 250, frames: 110, frames_on_interface: 110, classes })
    }
  }
}

for (const width of [1280, 400]) {
  test(`the charts of a run grow in a browser ${width} pixels wide`, { skip: noBrowser }, async (t) => {
    const { view, state, wait } = await replayed(t)
    state.phase('building the lab')
    const { page, said, asked } = await openAddress(t, view.address, { width })
    await page.waitForSelector('#live-throughput')
    assert.match((await page.textContent('#doing')) ?? '', /building the lab/)
    someRounds(state, wait)
    await page.waitForFunction(
      () => document.querySelectorAll('#live-throughput [aria-label=line] path').length === 2,
    )
    const text = (await page.textContent('#live-throughput')) ?? ''
    for (const word of [/throughput \(Mbit\/s\)/, /time \(s\)/, /PCP 7 CS7/, /PCP 0 best-effort/])
      assert.match(text, word)
    assert.equal(await page.locator('#live-pages [aria-label=line] path').count(), 2)
    assert.ok(
      (await page.locator('#live-pages [aria-label=rect] rect').count()) >= 2,
      'rounds stand behind the curves',
    )
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`)
    state.journal({ at_ns: 0, event: 'end', outcome: 'completed' })
    await view.close()
    await page.waitForFunction(() => document.getElementById('state')?.textContent?.includes('has ended'))
    assert.match((await page.textContent('#doing')) ?? '', /completed/)
    assert.deepEqual(said, [], 'nothing on the console')
    assert.deepEqual(asked, [], 'no other host')
  })
}

test('only this box sees it, by its own name, and nobody can do anything', async (t) => {
  const { view } = await replayed(t)
  const { port } = new URL(view.address)
  const answer = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<{ status: number; headers: Readonly<Record<string, unknown>> }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, headers, method }, (response) => {
        response.destroy()
        resolve({ status: response.statusCode ?? 0, headers: response.headers })
      })
      asked.once('error', reject)
      asked.end()
    })
  const page = await answer('/')
  assert.equal(page.status, 200)
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/)
  assert.equal(page.headers['access-control-allow-origin'], undefined)
  for (const path of ['/', '/events']) {
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1']) {
      assert.equal((await answer(path, { host })).status, 403, `${path} of ${host}`)
    }
  }
  assert.equal((await answer('/', {}, 'POST')).status, 405)
  assert.equal((await answer('/../../etc/passwd')).status, 404)
  assert.equal((await answer('/events')).status, 200)
  const elsewhere = await new Promise<string>((resolve) => {
    const socket = createConnection({ host: '127.0.0.2', port: Number(port) })
    socket.once('connect', () => resolve('connected')).once('error', () => resolve('refused'))
    socket.once('close', () => socket.destroy())
  })
  assert.equal(elsewhere, 'refused', 'it listens on 127.0.0.1 and nowhere else')
})

test('a comparison shows its rows as they come, and the view ends with the command', async (t) => {
  const plan = temporaryFile(
    t,
    'plan.yaml',
    Buffer.from(
      'origin: predicted\nrepetitions: 6\nscenario: { guest: { memory: 256MiB } }\naxes: { link.rate: [50mbit, 100mbit, 200mbit] }\n',
    ),
  )
  const args = ['compare', plan, '--serve', '--out', join(temporaryDirectory(t), 'c')]
  const child = spawn(process.execPath, [programFile, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const address = await new Promise<string>((resolve) => {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const found = /Live at (\S+)\n/.exec(said)?.[1]
      if (found !== undefined) resolve(found)
    })
  })
  const events = await (await fetch(`${address}events?size=narrow`)).text()
  assert.equal(await ended, 0)
  assert.match(events, /event: end\n/, 'the stream is complete when the command ends')
  assert.match(events, /18 of 18 runs done/)
  assert.match(events, /points-goodput_mbps/)
  await assert.rejects(fetch(address), 'nobody listens any more')
})

test('a port that is taken, and one that is none, are said in a sentence', async (t) => {
  const { view } = await replayed(t)
  const port = Number(new URL(view.address).port)
  await assert.rejects(liveView({ title: '', port, draw: () => '' }), /cannot show the run on port/)
})

test('however long it takes, a curve keeps its whole length in a bounded number of points', () => {
  let points: readonly number[] = []
  for (let i = 0; i < 10_000; i++) points = added(points, i)
  assert.ok(points.length <= 600)
  assert.deepEqual([points[0], points.at(-1)], [0, 9999])
})
