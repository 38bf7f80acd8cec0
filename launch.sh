#!/bin/sh
# Runs a program of this repository on the Node that package.json pins, whatever Node the machine has, and installs the
# dependencies first when they are missing or older than the lock file. `exec` leaves no process between npm and the
# program, so that signals reach it.
set -eu
cd "$(dirname "$0")"
stamp=node_modules/.package-lock.json
if [ ! -x node_modules/node/bin/node ] || [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
  echo "installing dependencies (npm ci) …" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
fi
PATH="$PWD/node_modules/node/bin:$PATH"
export PATH
exec node "$@"
