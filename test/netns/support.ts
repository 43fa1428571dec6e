/** What the tests on real namespaces share: a spec, marked traffic, captures read back as text, what is left behind. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultTable, dsField, trafficClass } from '../../src/marking/traffic-class.js'
import {
  type CaptureName,
  type DataplaneName,
  type HostName,
  type Lab,
  type LabSpec,
  labUp,
  type VlanName,
} from '../../src/topology/lab.js'
import { isRoot } from '../../src/topology/requirements.js'

/** For `test(name, { skip: needsRoot })`: the reason, printed by the runner, or false. */
export const needsRoot = isRoot() ? false : 'needs root; run: sudo npm test'

/** The tests that need no particular dataplane run on this one; see vlan.test.ts for how they get to the other. */
export const testDataplane: DataplaneName =
  process.env['PAGEWIRE_TEST_DATAPLANE'] === 'vlan' ? 'vlan' : 'tc-bpf'

/** Bits per second that one processor carries with ease, captures included; a guest kernel's is slower. */
export const testRateBps = testDataplane === 'vlan' ? 20e6 : 50e6

export const dscpOf = (name: string): number => trafficClass(defaultTable, name).dscp
export const pcpOf = (name: string): number => trafficClass(defaultTable, name).pcp

let count = 0

/** A run id that no other test process uses. */
export function freshRunId(): string {
  count += 1
  return `t${process.pid.toString(36)}x${count.toString(36)}`.slice(-12)
}

export function testSpec(
  change: Partial<Omit<LabSpec, 'link'>> & { link?: Partial<LabSpec['link']> } = {},
): LabSpec {
  return {
    runId: freshRunId(),
    marking: defaultTable,
    dataplane: testDataplane,
    congestionControl: 'cubic',
    offloads: false,
    ...change,
    link: { rateBps: testRateBps, discipline: 'strict', queuePackets: 256, mtuBytes: 1500, ...change.link },
  }
}

let common: Promise<Lab> | undefined

/**
 * The lab of `testSpec()` that the tests of one file share, up from its first use to the end of the file: building and
 * reading back costs seconds in a guest kernel. Its counters go on counting, so a test compares two readings.
 */
export function commonLab(): Promise<Lab> {
  common ??= labUp(testSpec())
  return common
}

after(async () => {
  await (await common)?.down()
})

/** What each queue of the congested port counted while `during` ran, by PCP. */
export async function counted(
  lab: Lab,
  during: () => Promise<unknown>,
): Promise<ReadonlyMap<number | 'all', { readonly packets: number; readonly dropped: number }>> {
  const before = await lab.counters()
  await during()
  const queues = (await lab.counters()).map((queue, i) => {
    const packets = queue.packets - (before[i]?.packets ?? 0)
    return [queue.pcp, { packets, dropped: queue.dropped - (before[i]?.dropped ?? 0) }] as const
  })
  return new Map(queues)
}

/** Names of the network namespaces that exist. */
export function namespaces(): readonly string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    return []
  }
}

export interface Flood {
  readonly from: HostName
  readonly to: HostName
  readonly vlan: VlanName
  readonly dscp: number
  /** Bits per second of whole frames, tag included. */
  readonly rateBps: number
  readonly seconds: number
}

export interface FloodResult {
  readonly sent: number
  /** Datagrams that the sender's own kernel refused. */
  readonly refused: number
}

/** UDP datagrams that fill the MTU: 1472 bytes of payload, 1518 with the tag. */
export const floodFrameBytes = 1518

/** Sends marked UDP at a steady rate and says how many datagrams left. Perl, because node's sockets cannot be marked. */
export async function flood(lab: Lab, wish: Flood): Promise<FloodResult> {
  const packets = Math.round((wish.rateBps * wish.seconds) / 8 / floodFrameBytes)
  const text = await runPerl(lab, wish.from, floodProgram, [
    lab.address(wish.from, wish.vlan),
    lab.address(wish.to, wish.vlan),
    dsField(wish.dscp),
    packets,
    wish.seconds,
  ])
  const [sent = Number.NaN, refused = Number.NaN] = text.trim().split(' ').map(Number)
  return { sent, refused }
}

/**
 * Bits per second that each of two classes gets through the congested port while both offer more than the whole link.
 * A loaded box, or a guest kernel's only processor, may not offer that much: only a second in which the port
 * was busy and both queues overflowed says what the port does, and up to five are looked at.
 */
export async function servedSideBySide(
  lab: Lab,
  names: readonly [string, string],
): Promise<readonly [number, number]> {
  const found: string[] = []
  for (let i = 0; i < 5; i++) {
    const size = { to: 'destination', rateBps: 1.4 * testRateBps, seconds: 3 } as const
    const floods = Promise.all([
      flood(lab, { from: 'source', vlan: 'migration', dscp: dscpOf(names[0]), ...size }),
      flood(lab, { from: 'neighbour', vlan: 'tenants', dscp: dscpOf(names[1]), ...size }),
    ])
    await pause(1000) // both have started, and neither ends before the window does
    const read = async () => ({ atMs: performance.now(), queues: await lab.counters() })
    const before = await read()
    await pause(1200)
    const after = await read()
    await floods
    const [first, second] = names.map((name) => {
      const of = ({ queues }: typeof after) => queues.find((queue) => queue.pcp === pcpOf(name))
      const gained = (what: 'bytes' | 'dropped'): number =>
        (of(after)?.[what] ?? 0) - (of(before)?.[what] ?? 0)
      return { bps: (gained('bytes') * 8000) / (after.atMs - before.atMs), dropped: gained('dropped') }
    }) as [{ bps: number; dropped: number }, { bps: number; dropped: number }]
    const isBusy = first.bps + second.bps > 0.9 * testRateBps
    if (isBusy && first.dropped > 0 && second.dropped > 0) return [first.bps, second.bps]
    found.push(JSON.stringify([first, second]))
  }
  throw new Error(`this box cannot keep a port of ${testRateBps} bit/s busy: ${found.join(' ')}`)
}

/** One TCP exchange with both sockets marked before connect; returns when both sides have closed. */
export async function exchangeTcp(
  lab: Lab,
  wish: Pick<Flood, 'from' | 'to' | 'vlan' | 'dscp'>,
): Promise<void> {
  const address = lab.address(wish.to, wish.vlan)
  let listens = (): void => {}
  const listening = new Promise<void>((resolve) => {
    listens = resolve
  })
  const server = runPerl(lab, wish.to, serverProgram, [address, dsField(wish.dscp)], listens)
  // The kernel would refuse an earlier client by itself, in a frame that no socket has marked.
  await Promise.race([listening, server])
  await runPerl(lab, wish.from, clientProgram, [address, dsField(wish.dscp)])
  await server
}

/**
 * One TCP connection, one UDP datagram each way and one ICMP echo for every DSCP, all sockets marked before their first
 * packet. The host `to` answers on port 7700 + DSCP; an echo reply takes over the mark of its request.
 */
export async function exchangeAll(
  lab: Lab,
  wish: Pick<Flood, 'from' | 'to' | 'vlan'> & { readonly dscps: readonly number[] },
): Promise<void> {
  const address = lab.address(wish.to, wish.vlan)
  const server = runPerl(lab, wish.to, answerProgram, [address, ...wish.dscps])
  await runPerl(lab, wish.from, askProgram, [address, ...wish.dscps])
  await server
}

/** Round-trip times of ICMP echoes, in milliseconds; none for a lost one. */
export async function echoMs(
  lab: Lab,
  wish: Omit<Flood, 'rateBps' | 'seconds'>,
  count: number,
): Promise<number[]> {
  const text = await runPerl(lab, wish.from, echoProgram, [
    lab.address(wish.to, wish.vlan),
    dsField(wish.dscp),
    count,
  ])
  return text.trim().split('\n').map(Number)
}

const answerProgram = `
use Socket;
my ($at, @dscps) = @ARGV;
alarm 60;
my (%listener, $waiting);
for my $dscp (@dscps) {
  socket(my $t, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
  socket(my $u, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
  for my $s ($t, $u) {
    setsockopt($s, IPPROTO_IP, IP_TOS, pack('i', $dscp << 2)) or die "tos: $!";
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($s, sockaddr_in(7700 + $dscp, inet_aton($at))) or die "bind: $!";
  }
  listen($t, 1) or die "listen: $!";
  $listener{$dscp} = [$t, $u];
}
for my $dscp (@dscps) {
  my ($t, $u) = @{$listener{$dscp}};
  my $from = recv($u, my $got, 2000, 0) // die "recv: $!";
  send($u, $got, 0, $from) or die "send: $!";
  accept(my $c, $t) or die "accept: $!";
  while (sysread($c, my $piece, 65536)) { syswrite($c, $piece) }
}`

const icmpEcho = `
# An ICMP echo request: type 8, code 0, checksum over all, identifier, number.
sub echo_request {
  my ($number) = @_;
  my $sum = 0x0800 + ($$ & 0xffff) + $number;
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum > 0xffff;
  return pack('CCnnn', 8, 0, 0xffff & ~$sum, $$ & 0xffff, $number);
}`

const askProgram = `
use Socket; use Time::HiRes qw(sleep);
my ($to, @dscps) = @ARGV;
alarm 60;
${icmpEcho}
for my $dscp (@dscps) {
  my $there = sockaddr_in(7700 + $dscp, inet_aton($to));
  socket(my $u, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
  setsockopt($u, IPPROTO_IP, IP_TOS, pack('i', $dscp << 2)) or die "tos: $!";
  connect($u, $there) or die "connect: $!";
  my $answer;
  for (1 .. 100) { # the other side may still be starting
    send($u, 'x' x 100, 0);
    my $ready = '';
    vec($ready, fileno($u), 1) = 1;
    next unless select($ready, undef, undef, 0.2);
    last if defined recv($u, $answer, 2000, 0);
    sleep(0.1);
  }
  socket(my $i, PF_INET, SOCK_RAW, 1) or die "icmp: $!";
  setsockopt($i, IPPROTO_IP, IP_TOS, pack('i', $dscp << 2)) or die "tos: $!";
  send($i, echo_request($dscp), 0, $there) or die "echo: $!";
  socket(my $t, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
  setsockopt($t, IPPROTO_IP, IP_TOS, pack('i', $dscp << 2)) or die "tos: $!";
  connect($t, $there) or die "connect: $!";
  syswrite($t, 'x' x 3000);
  my $got = 0;
  while ($got < 3000) { $got += sysread($t, my $piece, 65536) || die "closed early" }
  shutdown($t, 1);
  sysread($t, my $rest, 1);
}`

const echoProgram = `
use Socket; use Time::HiRes qw(time sleep);
my ($to, $tos, $count) = @ARGV;
${icmpEcho}
socket(my $s, PF_INET, SOCK_RAW, 1) or die "icmp: $!";
setsockopt($s, IPPROTO_IP, IP_TOS, pack('i', $tos)) or die "tos: $!";
for my $number (1 .. $count) {
  my $sent = time;
  send($s, echo_request($number), 0, sockaddr_in(0, inet_aton($to))) or die "send: $!";
  while (time < $sent + 1) {
    my $ready = '';
    vec($ready, fileno($s), 1) = 1;
    next unless select($ready, undef, undef, 0.2) > 0;
    recv($s, my $got, 2000, 0);
    my ($type, $code, $sum, $id, $which) = unpack('CCnnn', substr($got, 20));
    next unless $type == 0 && $which == $number;
    printf "%.3f\\n", (time - $sent) * 1000;
    last;
  }
  sleep(0.02);
}`

const floodProgram = `
use Socket; use Time::HiRes qw(time sleep);
my ($from, $to, $tos, $packets, $seconds) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
setsockopt($s, IPPROTO_IP, IP_TOS, pack('i', $tos)) or die "tos: $!";
bind($s, sockaddr_in(0, inet_aton($from))) or die "bind: $!";
my $there = sockaddr_in(9, inet_aton($to));
my $payload = 'x' x 1472;
my ($sent, $refused, $start) = (0, 0, time);
while ($sent + $refused < $packets) {
  my $due = (time - $start) / $seconds * $packets;
  if ($sent + $refused > $due) { sleep(0.0005); next }
  # An ICMP "port unreachable" of an earlier datagram is reported here once; that datagram did leave.
  if (defined send($s, $payload, 0, $there) || $!{ECONNREFUSED}) { $sent++ } else { $refused++ }
}
print "$sent $refused\\n";`

const serverProgram = `
use Socket;
my ($at, $tos) = @ARGV;
alarm 10;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($s, IPPROTO_IP, IP_TOS, pack('i', $tos)) or die "tos: $!";
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, sockaddr_in(7777, inet_aton($at))) or die "bind: $!";
listen($s, 1) or die "listen: $!";
syswrite(STDOUT, "listening\\n");
accept(my $c, $s) or die "accept: $!";
while (sysread($c, my $got, 65536)) { syswrite($c, $got) }`

const clientProgram = `
use Socket;
my ($to, $tos) = @ARGV;
alarm 10;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($s, IPPROTO_IP, IP_TOS, pack('i', $tos)) or die "tos: $!";
connect($s, sockaddr_in(7777, inet_aton($to))) or die "connect: $!";
syswrite($s, 'x' x 5000);
my $got = 0;
while ($got < 5000) { $got += sysread($s, my $piece, 65536) || die "closed early" }
shutdown($s, 1);
sysread($s, my $rest, 1);`

async function runPerl(
  lab: Lab,
  host: HostName,
  program: string,
  args: readonly (string | number)[],
  onOutput = (): void => {},
): Promise<string> {
  const [command = '', ...rest] = [...lab.inside(host), 'perl', '-MErrno', '-e', program, ...args.map(String)]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    onOutput()
  })
  const status = await ended(child)
  if (status !== 0) throw new Error(`the traffic program ended with ${status}`)
  return text
}

export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status))
  })
}

/** A frame as tcpdump prints it; vlan and pcp are null for a frame without a tag. */
export interface SeenFrame {
  readonly vlan: number | null
  readonly pcp: number | null
  readonly dscp: number | null
  readonly text: string
}

/** Records one capture point while `during` runs, and gives back its frames. */
export async function captured(
  context: TestContext,
  lab: Lab,
  name: CaptureName,
  during: () => Promise<unknown>,
): Promise<readonly SeenFrame[]> {
  const point = lab.capturePoints.find((entry) => entry.point === name)
  if (!point) throw new Error(`no capture point ${name}`)
  const directory = mkdtempSync(join(tmpdir(), 'pagewire-test-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  const recordings = await Promise.all(
    point.taps.map(async (tap) => {
      const file = join(directory, `${tap.device}.pcap`)
      const argv = ['ip', 'netns', 'exec', point.namespace, 'tcpdump', '-i', tap.device, '-Q', tap.direction]
      argv.push(
        '-w',
        file,
        '--immediate-mode',
        '-U',
        '-s',
        '128',
        '-B',
        '16384',
        '-Z',
        'root',
        tap.filter ?? '',
      )
      return { file, child: await listening(argv) }
    }),
  )
  await during()
  await pause(300) // what is still on its way to the files
  const frames: SeenFrame[] = []
  for (const { file, child } of recordings) {
    child.kill('SIGINT')
    await ended(child)
    frames.push(...readFrames(file))
  }
  return frames
}

async function listening(argv: readonly string[]): Promise<ChildProcess> {
  const [command = '', ...rest] = argv
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error(`tcpdump ended: ${words}`)))
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString()
      if (words.includes('listening on')) resolve()
    })
  })
  return child
}

function readFrames(file: string): readonly SeenFrame[] {
  const text = execFileSync('tcpdump', ['-r', file, '-nnev'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
  })
  // -v prints a frame on several lines; those after the first begin with white space.
  return text
    .split(/\n(?=\S)/)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const tag = /vlan (\d+), p (\d)/.exec(line)
      const tos = /tos 0x([0-9a-f]+)/.exec(line)
      return {
        vlan: tag ? Number(tag[1]) : null,
        pcp: tag ? Number(tag[2]) : null,
        dscp: tos ? Number.parseInt(tos[1] ?? '', 16) >> 2 : null,
        text: line,
      }
    })
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Path of a built module of the tests, for a child process. */
export function builtTest(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}
