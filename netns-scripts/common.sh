# Words and names that all scripts here share. Sourced, never run.

root=$(dirname "$here")
hosts='source destination neighbour client'
vlans='100 200' # migration, tenants

# die STATUS SENTENCE: 2 wrong use, 3 something is missing on this box, 1 anything else.
die() {
  status=$1
  shift
  echo "pagewire: $*" >&2
  exit "$status"
}

# run COMMAND... and tell TOOL...: the only ways in which these scripts change something. A failure is never passed
# over, and shows the command.
run() {
  "$@" || die 1 "command failed with status $?: $*"
}

# say COMMAND...: one more line for the tool that `tell` runs. Gathered in a variable and not in a pipe, because each
# process that a pipe starts costs a tenth of a second in a guest kernel.
said=
say() {
  said="$said$*
"
}

# tell TOOL...: what was said, carried out by one process in batch mode.
tell() {
  commands=$said
  said=
  [ -n "$commands" ] || return 0
  words=$("$@" -batch - 2>&1 <<END
$commands
END
  ) && return
  line=$(printf '%s\n' "$words" | sed -n 's/^Command failed -:\([0-9]*\).*/\1/p')
  printf '%s\n' "$words" >&2
  die 1 "command failed: $* $(printf '%s\n' "$commands" | sed -n "${line:-1}p")"
}

# need TOOL PACKAGE
need() {
  command -v "$1" >/dev/null || die 3 "$1 is missing; install it with: apt-get install $2"
}

need_root() {
  [ "$(id -u)" = 0 ] || die 3 "namespaces need root; run this with sudo"
}

# marking pcp-by-dscp | service-order: numbers out of src/marking, the only place that knows them.
marking() {
  node "$root/build/src/topology/marking-arguments.js" "$1" ||
    die 3 "the program is not built; run: npm run build"
}

# number_of HOST: sets $number, which ends the host's addresses (10.77.VLAN.$number) and its $mac.
number_of() {
  case $1 in
    source) number=1 ;;
    destination) number=2 ;;
    neighbour) number=3 ;;
    client) number=4 ;;
    *) die 2 "unknown host '$1'" ;;
  esac
  mac=02:70:77:00:00:0$number
}

# check_run RUN: the name goes into namespace names, so it is short and plain.
check_run() {
  case $1 in
    '' | *[!a-z0-9]*) die 2 "run name '$1' may hold only a-z and 0-9" ;;
  esac
  [ ${#1} -le 12 ] || die 2 "run name '$1' is longer than 12 characters"
}
