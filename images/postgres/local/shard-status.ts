import { z } from 'zod';
import { parseLsn } from '../../../lib/shard/lsn.ts';
import { type ClusterState, chainOf, type Role, roleOf, upstreamOf } from '../../../lib/shard/state.ts';
import type { ShardView } from '../shard-view.ts';
import type { ShardClient } from './shard-client.ts';

/** Of a sitter's `/admin/v1/state` what people are shown. */
const sitterSchema = z.looseObject({
  id: z.string(),
  role: z.string(),
  health: z.string().optional(),
  status: z.string().optional(),
  isReady: z.boolean().optional(),
  rule: z.looseObject({ name: z.string(), action: z.string(), why: z.string().optional() }).optional(),
  job: z.looseObject({ kind: z.string() }).nullish(),
  server: z
    .looseObject({
      process: z.looseObject({ kind: z.string() }),
      written: z.looseObject({ gate: z.string(), readOnly: z.boolean() }).nullish(),
      answered: z
        .looseObject({
          timeline: z.number(),
          flushed: z.string().nullish(),
          received: z.string().nullish(),
          replayed: z.string().nullish(),
          isStreaming: z.boolean(),
          senders: z.array(
            z.looseObject({
              name: z.string(),
              state: z.string(),
              priority: z.number(),
              sent: z.string().nullish(),
              flushed: z.string().nullish(),
              replayed: z.string().nullish(),
            }),
          ),
        })
        .nullish(),
    })
    .optional(),
});
type SitterState = z.infer<typeof sitterSchema>;

/** A line of the peer table (replication.md §13). Positions as PostgreSQL writes them. */
export interface PeerStatus {
  readonly id: string;
  readonly role: Role;
  /** Of the process; `silent`: its sitter does not answer. */
  readonly postgres: string;
  /** What its upstream says of it. */
  readonly replication: string;
  readonly sent: string;
  readonly flushed: string;
  readonly replayed: string;
  /** Bytes of WAL between what the primary has flushed and what the peer has replayed. */
  readonly lagBytes: bigint | undefined;
  readonly isReady: boolean;
  /** The rule it is at, with one sentence why it waits. */
  readonly rule: string;
}

export interface ShardStatus {
  readonly state: ClusterState | undefined;
  readonly frozen: string | undefined;
  readonly peers: readonly PeerStatus[];
  /** One sentence each; none: writable and fault-tolerant. */
  readonly problems: readonly string[];
}

/** Why no write would be acknowledged now; undefined: it would. */
export function isWritable({ state, peers, problems }: ShardStatus): string | undefined {
  const primary = peers.find(peer => peer.role === 'primary');
  if (state !== undefined && primary?.isReady === true) return undefined;
  return problems[0] ?? 'the primary is not open';
}

/** Why the shard is not fault-tolerant; undefined: it is, and nobody waits to be let in. */
export function isHealthy(status: ShardStatus): string | undefined {
  return status.problems[0];
}

const ANSWER_MS = 1_000;

/** Reads etcd and asks every sitter. Throws MantaError `CoordinatorUnavailable`. */
export async function shardStatus(
  client: ShardClient,
  places: readonly { readonly id: string; readonly sitterUrl: string }[],
): Promise<ShardStatus> {
  const [view, answers] = await Promise.all([
    client.read(),
    Promise.all(places.map(async ({ id, sitterUrl }) => [id, await ask(sitterUrl)] as const)),
  ]);
  const sitters = new Map(answers);
  const state = view.state?.value;
  const peers = places.map(({ id }) => describePeer(id, state, sitters));
  return { state, frozen: view.config?.value.freeze?.reason, peers, problems: problemsOf(view, peers) };
}

async function ask(sitterUrl: string): Promise<SitterState | undefined> {
  try {
    const response = await fetch(`${sitterUrl}/admin/v1/state`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return sitterSchema.parse(await response.json());
  } catch {
    return undefined;
  }
}

function describePeer(
  id: string,
  state: ClusterState | undefined,
  sitters: ReadonlyMap<string, SitterState | undefined>,
): PeerStatus {
  const own = sitters.get(id);
  const answered = own?.server?.answered ?? undefined;
  const role = state === undefined ? 'none' : roleOf(state, id);
  const upstream = state === undefined ? undefined : upstreamOf(state, id);
  const sender = sitters.get(upstream?.id ?? '')?.server?.answered?.senders.find(({ name }) => name === id);
  const head = sitters.get(state?.primary.id ?? '')?.server?.answered?.flushed ?? undefined;
  const replayed = role === 'primary' ? undefined : (answered?.replayed ?? undefined);
  return {
    id,
    role,
    postgres: own === undefined ? 'silent' : (own.job?.kind ?? own.server?.process.kind ?? 'none'),
    replication: replicationOf(role, own, sender),
    sent: sender?.sent ?? '-',
    flushed: answered?.flushed ?? answered?.received ?? '-',
    replayed: replayed ?? '-',
    lagBytes: head === undefined || replayed === undefined ? undefined : max(0n, parseLsn(head) - parseLsn(replayed)),
    isReady: own?.isReady === true,
    rule: own?.rule === undefined ? '' : [own.rule.name, own.rule.why].filter(Boolean).join(': '),
  };
}

function replicationOf(
  role: Role,
  own: SitterState | undefined,
  sender: { readonly state: string; readonly priority: number } | undefined,
): string {
  if (role === 'primary') {
    const written = own?.server?.written;
    return written?.gate !== 'open' ? 'closed' : written.readOnly ? 'read-only' : 'open';
  }
  if (sender === undefined) return '-';
  return sender.priority > 0 ? `${sender.state} (sync)` : sender.state;
}

function problemsOf(view: ShardView, peers: readonly PeerStatus[]): string[] {
  const state = view.state?.value;
  if (state === undefined) {
    if (view.bootstrap !== undefined) return ['the shard is being set up: waiting for its peers'];
    return [view.stateInvalid ?? 'StateMissing: there is no cluster state in etcd; see state-repair'];
  }
  const configured = view.config?.value.peers ?? peers.length;
  const missing = configured - chainOf(state).length;
  return [
    ...(view.config?.value.freeze === undefined ? [] : [`frozen: ${view.config.value.freeze.reason}`]),
    ...(state.oneNode === 'lone-survivor' ? ['one-node state: an acknowledged write is on one disk only'] : []),
    ...peers.flatMap(peer => problemOf(peer)),
    ...(missing > 0 ? [`the chain lacks ${missing} of ${configured} peers`] : []),
  ];
}

function problemOf({ id, role, postgres, isReady, rule }: PeerStatus): string[] {
  const why = rule === '' ? '' : ` — ${rule}`;
  if (postgres === 'silent') return [`${id} (${role}): its sitter does not answer`];
  if (role === 'deposed' || role === 'none')
    return [`${id}: ${role === 'none' ? 'not in the chain' : 'deposed'}, PostgreSQL ${postgres}${why}`];
  if (isReady) return [];
  return [`${id} (${role}): ${role === 'primary' ? 'not open' : 'does not stream'}, PostgreSQL ${postgres}${why}`];
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
