import { preflightHeaders } from '../cors.ts';
import { currentRecordOf, type EntryCall, notFound, requireConditions, type Services } from '../entry-call.ts';

/**
 * OPTIONS, the CORS preflight: 200 with the headers that the stored ones grant, or without. A coming PUT is governed by
 * its directory, so that browsers can upload what is not there yet. http-api.md §6.8.
 */
export async function answerOptions(call: EntryCall, { responder }: Services): Promise<void> {
  const { exchange, entry, parent, endpoint } = call;
  const { headers } = exchange.request;
  const isForPut = headers['access-control-request-method']?.toUpperCase() === 'PUT' && !endpoint.isRoot;
  if (!isForPut && entry === undefined && !endpoint.isRoot) throw notFound(call);
  if (entry?.kind === 'object') requireConditions(call, currentRecordOf(entry, false));
  const governing = isForPut ? parent : entry;
  responder.empty(exchange, 200, { ...preflightHeaders(governing?.headers ?? {}, headers), 'content-length': 0 });
}
