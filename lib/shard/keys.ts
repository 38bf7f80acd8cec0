/** The keys of one shard in etcd (replication.md §6.1). */
export interface ShardKeys {
  /** What all of them begin with, slash included. */
  readonly prefix: string;
  readonly state: string;
  readonly config: string;
  readonly bootstrap: string;
  readonly answer: string;
  readonly peers: string;
  peer(id: string): string;
  readonly requests: string;
  request(kind: string): string;
  /** Beside the prefix and not below it, because the prefix is read every second and the history is long. */
  readonly histories: string;
  history(seq: number): string;
}

/** `root` begins with a slash and does not end with one: `/manta`. */
export function shardKeys(root: string, shard: number): ShardKeys {
  const prefix = `${root}/shards/${shard}/`;
  const histories = `${root}/history/${shard}/`;
  return {
    prefix,
    state: `${prefix}state`,
    config: `${prefix}config`,
    bootstrap: `${prefix}bootstrap`,
    answer: `${prefix}answer`,
    peers: `${prefix}peers/`,
    peer: id => `${prefix}peers/${id}`,
    requests: `${prefix}request/`,
    request: kind => `${prefix}request/${kind}`,
    histories,
    history: seq => `${histories}${String(seq).padStart(12, '0')}`,
  };
}
