import { z } from 'zod';

const lineSchema = z.looseObject({
  time: z.string(),
  bytesOut: z.number(),
  storageNode: z.string(),
  instance: z.string(),
  handedId: z.string(),
  completed: z.string(),
});

/**
 * webapi has recorded a transfer that it handed over as if it had gone well. Where a line of the access log tells that it
 * ended short, this makes the record that says so (ops.md §4.1); elsewhere undefined. `seq` counts them.
 */
export function correctionOf(line: string, seq: number): Record<string, unknown> | undefined {
  if (line.includes('"storageNode":""')) return undefined;
  const parsed = lineSchema.safeParse(JSON.parse(line));
  if (!parsed.success || parsed.data.completed === 'OK') return undefined;
  const { time, handedId, instance, bytesOut } = parsed.data;
  const record = { audit: true, schema: 'edge/1', seq, time: new Date(time).toISOString(), req_id: handedId, instance };
  return { ...record, statusCode: 499, bytesOut: String(bytesOut) };
}
