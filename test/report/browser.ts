/** Reports in headless Chromium: the page, what it said and asked for, and why there is none where there is none. */

import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import { temporaryFile } from '../support/temporary.js'

const executablePath = '/usr/bin/chromium'

/** For `test(name, { skip: noBrowser })`. */
export const noBrowser: string | false = existsSync(executablePath)
  ? false
  : 'needs chromium; install it with: npm run setup -- test'

export interface OpenPage {
  readonly page: Page
  /** Console messages and page errors. */
  readonly said: readonly string[]
  /** Addresses that it asked for, its own file excepted. */
  readonly asked: readonly string[]
}

const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

interface Look {
  readonly width: number
  readonly colorScheme?: 'light' | 'dark'
}

/** A report as a file from disk. */
export function openReport(t: TestContext, html: string, look: Look): Promise<OpenPage> {
  return openAddress(t, pathToFileURL(temporaryFile(t, 'report.html', Buffer.from(html))).href, look)
}

/** Any page; what it asks its own host for is not counted. */
export async function openAddress(t: TestContext, address: string, look: Look): Promise<OpenPage> {
  const browser = await chromium.launch({ executablePath, args: quiet })
  t.after(() => browser.close())
  const page = await browser.newPage({
    viewport: { width: look.width, height: 900 },
    colorScheme: look.colorScheme ?? 'light',
  })
  const said: string[] = []
  const asked: string[] = []
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(error.message))
  const own = address.startsWith('file:') ? address : new URL(address).origin
  page.on('request', (request) => {
    if (!request.url().startsWith(own) && !request.url().startsWith('data:')) asked.push(request.url())
  })
  await page.goto(address)
  return { page, said, asked }
}
