#!/bin/sh
# Installs and builds what is missing for a purpose, and nothing else; says nothing when nothing is missing.
#
#   netns-scripts/setup.sh [demo|test|bench]
#
# Root is needed only to install packages. What root makes under sudo belongs to the person who called sudo.
# Status: 0 ready, 2 wrong use, 3 something is missing that could not be installed, 1 a build failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
cd "$root"
PATH=$PATH:/usr/sbin:/sbin
export PATH

purpose=${1:-demo}
case $purpose in
  demo | test | bench) ;;
  *) die 2 "usage: setup.sh [demo|test|bench]" ;;
esac

present() { # COMMAND or HEADER
  case $1 in
    *.h) [ -e "/usr/include/$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing_packages() {
  while read -r for what package; do
    case $for in demo | "$purpose") present "$what" || echo "$package" ;; esac
  done <"$here/packages.txt" | sort -u | tr '\n' ' '
}

note() {
  echo "pagewire set-up: $*" >&2
}

# step SENTENCE COMMAND...: the command's words are shown only if it fails.
step() {
  what=$1
  shift
  note "$what"
  "$@" >"$words" 2>&1 && return
  status=$?
  cat "$words" >&2
  note "failed with status $status: $*"
  return 1
}

check_node() {
  command -v node >/dev/null || die 3 "Node.js is missing; version 20.19 or newer is needed"
  node -e '
    const [major, minor] = process.versions.node.split(".").map(Number)
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)
  ' || die 3 "Node.js $(node --version) is too old; version 20.19 or newer is needed"
}

install_packages() {
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null ||
    die 3 "missing on this box, by their Debian names: $packages- install them with your package manager"
  [ "$(id -u)" = 0 ] || die 3 "missing on this box: $packages- run the same command with sudo, and it installs them"
  export DEBIAN_FRONTEND=noninteractive
  apt='apt-get -q -y -o DPkg::Lock::Timeout=300'
  # Old lists often still do, so only the installation decides.
  step "reading the package lists" $apt update || note "going on with the lists of last time"
  step "installing $packages" $apt install --no-install-recommends $packages ||
    die 3 "apt-get could not install: $packages- is the network there?"
  packages=$(missing_packages)
  [ -z "$packages" ] || die 3 "installed, but still not found: $packages"
}

# The lock file, and the Node that the native modules were built for.
modules_wanted() {
  cksum <package-lock.json
  node -p '`${process.versions.modules} ${process.arch}`'
}

install_modules() {
  [ ! -L node_modules ] || return 0 # a link: somebody else looks after it
  if [ "$(cat node_modules/.pagewire 2>/dev/null)" = "$(modules_wanted)" ]; then return 0; fi
  step "npm ci: installing Node modules and building cap and raw-socket" npm ci --loglevel=warn --no-fund --no-audit ||
    die 3 "npm ci failed - is the network there?"
  made=1
  # npm 12 skips build scripts that it was not told to run, and succeeds all the same.
  native_works || step "building cap and raw-socket again" npm rebuild --loglevel=warn --foreground-scripts cap raw-socket || true
  native_works || {
    node -e "$native" >&2 || true
    die 3 "the native modules were not built; run by hand: npm rebuild --foreground-scripts cap raw-socket"
  }
  modules_wanted >node_modules/.pagewire
}

native="for (const name of ['cap', 'raw-socket', 'koffi']) require(name)"
native_works() {
  node -e "$native" 2>/dev/null
}

# Something below the paths is newer than the file, or the file is not there. Directories count: a file may be gone.
newer_than() { # FILE PATH...
  file=$1
  shift
  [ ! -e "$file" ] || [ -n "$(find "$@" -newer "$file" | head -n 1)" ]
}

build_program() {
  newer_than build/.program src test package.json tsconfig.json netns-scripts/bundle.sh ||
    [ ! -e build/src/cli/pagewire.js ] || return 0
  mkdir -p build
  touch build/.program.new # before the compiler reads, so that an edit meanwhile is noticed next time
  step "compiling TypeScript" node_modules/.bin/tsc -p tsconfig.json || die 1 "the program does not compile"
  made=1
  remove_orphans
  step "bundling the program" netns-scripts/bundle.sh || die 1 "the program cannot be bundled"
  mv build/.program.new build/.program
}

# What was compiled from a file that is gone, or its tests would run for ever.
remove_orphans() {
  find build/src build/test -name '*.js' | while read -r output; do
    source=${output#build/}
    [ -e "${source%.js}.ts" ] || rm -f "$output" "$output.map"
  done
}

# `npx pagewire` inside the clone finds only what node_modules/.bin has.
link_command() {
  [ ! -L node_modules ] && [ ! -e node_modules/.bin/pagewire ] || return 0
  ln -sf ../../build/src/cli/pagewire.js node_modules/.bin/pagewire
  made=1
}

build_dataplane() {
  newer_than build/bpf/lab.o netns-scripts/bpf netns-scripts/compile-bpf.sh netns-scripts/common.sh src/marking ||
    return 0
  step "compiling the eBPF dataplane" netns-scripts/compile-bpf.sh build/bpf/lab.o ||
    die 1 "the eBPF dataplane does not compile"
  made=1
}

hand_over() {
  [ -n "$made" ] && [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ] || return 0
  for directory in node_modules build; do
    [ ! -d "$directory" ] || [ -L "$directory" ] || chown -hR "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$directory"
  done
}

made=
words=$(mktemp)
trap 'rm -f "$words"; hand_over' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Root's npm must not leave files of root in the cache of the person who called sudo.
if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ]; then
  HOME=$(getent passwd 0 | cut -d: -f6)
  export HOME
fi

check_node
# Two set-ups in one clone would build into each other's files.
exec 9<.
! command -v flock >/dev/null || flock 9
install_packages
install_modules
build_program
link_command
build_dataplane
