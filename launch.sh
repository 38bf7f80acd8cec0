#!/bin/sh
# Runs a program of this repository on the Node that package.json pins, whatever Node the machine has, and installs the
# dependencies first when they are missing, incomplete, for another platform, or older than the lock file. `exec` leaves
# no process between npm and the program, so that signals reach it.
set -eu
cd "$(dirname "$0")"
node=node_modules/node/bin/node
stamp=node_modules/.package-lock.json # npm writes it last
lock=.installing

installed() {
  [ -f "$stamp" ] && ! [ package-lock.json -nt "$stamp" ] && NODE_OPTIONS='' "$node" -e 0 2>/dev/null
}

install() {
  # One at a time: npm removes what another npm is putting there. The link is made or not, and names its maker.
  until ln -s $$ "$lock" 2>/dev/null; do
    holder=$(readlink "$lock" || true)
    if [ -z "$holder" ] && ! [ -w . ]; then
      echo "cannot install dependencies: $PWD is not writable" >&2
      exit 1
    fi
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then rm -f "$lock"; else sleep 1; fi
  done
  trap 'rm -f "$lock"' EXIT
  trap 'exit 130' INT TERM HUP
  if ! installed; then
    echo "Installing dependencies, about a minute …" >&2
    # What a user's own npm configuration leaves out, the programs here need.
    npm ci --include=dev --include=optional --no-audit --no-fund --loglevel=error >&2
    if ! installed; then
      echo "npm has not installed $node: are install scripts switched off (npm config get ignore-scripts)?" >&2
      exit 1
    fi
  fi
  rm -f "$lock"
  trap - EXIT INT TERM HUP
}

installed || install
PATH="$PWD/node_modules/node/bin:$PATH"
NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$PWD/node_modules/.cache/node}"
export PATH NODE_COMPILE_CACHE
exec node "$@"
