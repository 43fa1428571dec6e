/**
 * A live view for browsers of this box: one page, and its drawings as server-sent events. Listens on the loopback
 * address alone, answers only who asked for it by that name, and draws only while somebody looks.
 */

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { escapeHtml } from '../report/html.js'
import type { Size } from '../report/live.js'
import { livePage } from '../report/live-page.js'
import { failure, messageOf } from '../support/errors.js'

export interface LiveView {
  /** Where it is. */
  readonly address: string
  /** Says that there is something new; it is drawn soon, if somebody looks. */
  changed(): void
  /** Draws a last time and ends every connection. */
  close(): Promise<void>
}

export interface LiveViewOptions {
  readonly title: string
  /** 0: any that is free. */
  readonly port: number
  /** HTML of what is known now. */
  readonly draw: (size: Size) => string
}

const host = '127.0.0.1'
const watchersMax = 16
/** Drawings are at least this long apart, and ten times as long as one takes: the measured run comes first. */
const pauseMs = 1000
const pauseFactor = 10
const closingMs = 1000

/** Failure (exit 1) when the port is taken. */
export async function liveView(options: LiveViewOptions): Promise<LiveView> {
  const view = new View(options)
  await view.listen()
  return view
}

class View implements LiveView {
  address = ''
  readonly #options: LiveViewOptions
  readonly #server: Server
  readonly #watchers = new Map<ServerResponse, Size>()
  #hosts: readonly string[] = []
  #timer: NodeJS.Timeout | undefined
  #pauseMs = pauseMs

  constructor(options: LiveViewOptions) {
    this.#options = options
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async listen(): Promise<void> {
    const { port } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(
          failure(`cannot show the run on port ${port}: ${messageOf(error)}`, {
            code: 'cannot-serve',
            next: 'Take another port, or --serve alone for one that is free.',
            cause: error,
          }),
        ),
      )
      this.#server.listen(port, host, resolve)
    })
    const bound = this.#server.address()
    const at = typeof bound === 'object' && bound !== null ? bound.port : port
    // A page of another site whose name was turned to this address asks for that name: it gets nothing.
    this.#hosts = [`${host}:${at}`, `localhost:${at}`]
    this.address = `http://${host}:${at}/`
  }

  changed(): void {
    if (this.#watchers.size === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#send([...this.#watchers.keys()])
    }, this.#pauseMs)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#send([...this.#watchers.keys()])
    for (const watcher of this.#watchers.keys()) watcher.end('event: end\ndata: null\n\n')
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
      // A browser that does not read any more keeps nobody waiting.
      setTimeout(() => this.#server.closeAllConnections(), closingMs).unref()
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.address)
    if (!this.#hosts.includes(request.headers.host ?? '')) refuse(response, 403, 'asked for by another name')
    else if (request.method !== 'GET') refuse(response, 405, 'only to be looked at')
    else if (pathname === '/') this.#page(response)
    else if (pathname === '/events')
      this.#watch(response, searchParams.get('size') === 'narrow' ? 'narrow' : 'wide')
    else refuse(response, 404, 'nothing here')
  }

  #page(response: ServerResponse): void {
    const nonce = randomBytes(16).toString('base64')
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-${nonce}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    })
    response.end(livePage(this.#options.title, nonce))
  }

  #watch(response: ServerResponse, size: Size): void {
    if (this.#watchers.size >= watchersMax) {
      refuse(response, 503, 'too many look already')
      return
    }
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
    this.#watchers.set(response, size)
    response.on('close', () => this.#watchers.delete(response))
    this.#send([response])
  }

  /** A drawing that fails must not end what is being measured. */
  #draw(size: Size): string {
    try {
      return this.#options.draw(size)
    } catch (error) {
      return `<p>This cannot be drawn: ${escapeHtml(messageOf(error))}</p>`
    }
  }

  #send(watchers: readonly ServerResponse[]): void {
    const began = performance.now()
    const drawings = new Map<Size, string>()
    for (const watcher of watchers) {
      // Who reads slowly misses drawings; the next one has all there is.
      if (watcher.writableNeedDrain) continue
      const size = this.#watchers.get(watcher) ?? 'wide'
      const drawing = drawings.get(size) ?? JSON.stringify(this.#draw(size))
      drawings.set(size, drawing)
      watcher.write(`data: ${drawing}\n\n`)
    }
    this.#pauseMs = Math.max(pauseMs, pauseFactor * (performance.now() - began))
  }
}

const headers = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8' })
  response.end(`${why}\n`)
}
