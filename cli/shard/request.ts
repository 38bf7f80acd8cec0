import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { isConflict } from '../../lib/kubernetes/api-error.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { annotations } from '../../lib/resources/names.ts';
import { type Shard, shards } from '../../lib/resources/types.ts';
import type { CommandContext } from '../command.ts';
import { findShard } from './find-shard.ts';

/** The operator looks at a shard every few seconds; after this it is not going to, and the request is taken back. */
const TAKEN_WITHIN_MS = 45_000;
const POLL_MS = 500;
const WITHDRAW_MS = 5_000;
/** The operator writes status all the time. */
const MAX_ATTEMPTS = 10;

/**
 * Has the operator carry out a request (operations.md §3.3.4) and waits for the end of it, which for a rebuild is hours.
 * Answers with the operator's message. Throws MantaError `RequestRefused` or `RequestFailed` with that, `RequestPending`
 * while another one is under way, and `RequestUnanswered` when nobody takes it, in which case it is taken back; so it is
 * on abort.
 */
export async function carryOutRequest(
  context: CommandContext,
  shard: string,
  words: readonly string[],
): Promise<string> {
  const id = newId(context);
  await write(context, shard, [id, ...words].join(' '));
  let known: Progress = {};
  const until = context.clock.monotonic() + TAKEN_WITHIN_MS;
  try {
    for (;;) {
      const now = await findShard(context, shard);
      const answer = now.status?.request?.id === id ? now.status.request : undefined;
      const message = answer?.message ?? '';
      if (answer?.state === 'Done') return message;
      if (answer?.state === 'Refused' || answer?.state === 'Failed') {
        throw new MantaError(`Request${answer.state}`, `${words[0]} was ${answer.state.toLowerCase()}: ${message}`);
      }
      if (requestOf(now)?.id !== id) throw new MantaError('RequestReplaced', 'somebody took the request back');
      if (answer === undefined && context.clock.monotonic() > until) throw unanswered(words);
      known = tellProgress(context, now, answer?.message, known);
      await sleep(POLL_MS, undefined, { signal: context.signal });
    }
  } catch (error) {
    const isTaken = known.isTaken === true;
    if (!isTaken) await withdraw(context, shard, id);
    throw error;
  }
}

interface Progress {
  readonly isTaken?: boolean;
  readonly line?: string;
}

function tellProgress(
  context: CommandContext,
  { status }: Stored<Shard>,
  message: string | undefined,
  known: Progress,
): Progress {
  if (message === undefined) return known;
  const parts = (status?.peers ?? []).flatMap(({ name, rebuild }) =>
    rebuild?.percent === undefined ? [] : [`${name}: ${rebuild.percent} %`],
  );
  const line = [message, ...parts].filter(part => part !== '').join('; ');
  if (line !== '' && line !== known.line) context.tell(line);
  return { isTaken: true, line };
}

/** One that nobody has answered would be overwritten: somebody else's. */
async function write(context: CommandContext, shard: string, request: string): Promise<void> {
  const { kubernetes, namespace, signal } = context;
  for (let attempt = 1; ; attempt++) {
    const found = await findShard(context, shard);
    const other = requestOf(found);
    const answer = found.status?.request;
    if (other !== undefined && (answer?.id !== other.id || answer.state === 'Pending')) {
      throw new MantaError(
        'RequestPending',
        `another request waits: "${other.text}". To take it back: kubectl -n ${namespace} annotate mshard ${shard} ${annotations.request}-`,
      );
    }
    const { resourceVersion } = found.metadata;
    const body = { metadata: { resourceVersion, annotations: { [annotations.request]: request } } };
    try {
      await kubernetes.patch(shards, { namespace, name: shard }, { type: 'merge', body }, { signal });
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** Only while it is still the same, and not yet taken: what the operator has begun goes on. */
async function withdraw({ kubernetes, namespace }: CommandContext, shard: string, id: string): Promise<void> {
  const options = { timeoutMs: WITHDRAW_MS };
  const found = await kubernetes.get(shards, { namespace, name: shard }, options);
  if (found === undefined || requestOf(found)?.id !== id || found.status?.request?.id === id) return;
  const { resourceVersion } = found.metadata;
  const body = { metadata: { resourceVersion, annotations: { [annotations.request]: null } } };
  await kubernetes.patch(shards, { namespace, name: shard }, { type: 'merge', body }, options);
}

function requestOf({ metadata }: Stored<Shard>): { readonly id: string; readonly text: string } | undefined {
  const text = metadata.annotations?.[annotations.request];
  const [id = ''] = text?.trim().split(/\s+/) ?? [];
  return text === undefined || id === '' ? undefined : { id, text };
}

function unanswered([verb]: readonly string[]): MantaError {
  return new MantaError(
    'RequestUnanswered',
    `the operator has not taken up ${verb} within ${TAKEN_WITHIN_MS / 1_000} s, and it was taken back: kubectl logs deployment/manta-operator`,
  );
}

/** Unlike any other, and with its time for those who read annotations. */
function newId({ clock, random }: CommandContext): string {
  const at = new Date(clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${at}-${Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')}`;
}
