import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';
import { peerHealths, peerStatuses } from '../../lib/shard/records.ts';
import { lsnText } from '../../lib/shard/state.ts';
import type { Heartbeat, HeartbeatAnswer } from './snapshot.ts';

/** What both sides of a heartbeat call the protocol in the HTTP upgrade. */
export const HEARTBEAT_PROTOCOL = 'manta-heartbeat';
export const HEARTBEAT_PATH = '/internal/v1/heartbeat';

const identity = {
  shard: z.int(),
  id: z.string(),
  incarnation: z.string().nullable(),
  session: z.string(),
  generation: z.int(),
  n: z.int(),
};

/** A line from the primary (replication.md §4.4). */
export const heartbeatSchema = z.looseObject({
  ...identity,
  status: z.enum(peerStatuses),
  terminating: z.boolean(),
  flush: lsnText.nullable(),
  etcdAgeMs: z.number().nullable(),
}) satisfies z.ZodType<HeartbeatLine>;

/** A standby's answer to one. */
export const heartbeatAnswerSchema = z.looseObject({
  ...identity,
  received: lsnText.nullable(),
  replayed: lsnText.nullable(),
  health: z.enum(peerHealths),
  terminating: z.boolean(),
  ready: z.boolean(),
}) satisfies z.ZodType<HeartbeatAnswerLine>;

/** As sent: the receiver adds when it came. */
export type HeartbeatLine = Omit<Heartbeat, 'at'>;
export type HeartbeatAnswerLine = Omit<HeartbeatAnswer, 'at'>;

/** Far above what a line takes. */
const MAX_LINE_BYTES = 16 * 1024;

/**
 * Hands over each JSON line that the schema knows. Anything else, and a line without an end, closes the connection: who
 * speaks otherwise is not a sitter.
 */
export function readLines<Line>(
  socket: Socket,
  head: Buffer,
  schema: z.ZodType<Line>,
  onLine: (line: Line) => void,
): void {
  let rest = '';
  // The socket of an HTTP server decodes nothing itself.
  const decoder = new StringDecoder('utf8');
  const take = (bytes: Buffer) => {
    const lines = (rest + decoder.write(bytes)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_BYTES) return void socket.destroy();
    for (const text of lines) {
      const line = parsed(text, schema);
      if (line === undefined) return void socket.destroy();
      onLine(line);
    }
  };
  socket.on('data', take);
  if (head.length > 0) take(head);
}

export function writeLine(socket: Socket, line: HeartbeatLine | HeartbeatAnswerLine): void {
  socket.write(`${JSON.stringify(line)}\n`);
}

function parsed<Line>(text: string, schema: z.ZodType<Line>): Line | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
