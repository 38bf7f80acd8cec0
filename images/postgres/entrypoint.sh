#!/bin/sh
# Locks the data volume and becomes the sitter (replication.md §11.10). MANTA_POSTGRES_DATA is the `dataDir` of its
# configuration; without a fork the lock is the sitter's own, and so are the signals. Exit code 75: the volume is in use.
set -eu
data=${MANTA_POSTGRES_DATA:-/data}
home=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$data/sitter"
exec flock --nonblock --no-fork --conflict-exit-code 75 "$data/sitter/lock" \
  "$home/node_modules/node/bin/node" "$home/images/postgres/main.ts" "$@"
