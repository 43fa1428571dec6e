/** The one page of a live view: the report's style, and a script that puts in place what the server has drawn. */

import { escapeHtml, pageStyle } from './html.js'

/** `nonce`: of the page's own script, the only one that its policy lets run. */
export function livePage(title: string, nonce: string): string {
  return `<!doctype html>
<html lang="en" data-stamp="live">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${pageStyle}progress{width:100%;height:1.2rem;accent-color:var(--c0)}</style>
</head>
<body>
<header><p class="stamp" id="state" role="status">Live, as it is being measured; the report has the proven figures</p><h1>${escapeHtml(title)}</h1></header>
<main id="live"><p>Waiting for the first figures.</p></main>
<script nonce="${nonce}">
const narrow = matchMedia('(max-width:44rem)')
let events
const listen = () => {
  events?.close()
  events = new EventSource('events?size=' + (narrow.matches ? 'narrow' : 'wide'))
  events.onmessage = ({ data }) => { document.getElementById('live').innerHTML = JSON.parse(data) }
  events.addEventListener('end', () => {
    events.close()
    narrow.removeEventListener('change', listen)
    document.getElementById('state').textContent = 'The command has ended; this is what was seen'
  })
}
narrow.addEventListener('change', listen)
listen()
</script>
</body>
</html>
`
}
