import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Entry } from '../../../lib/metadata/types.ts';
import { isGuarded } from '../conditions.ts';
import {
  concurrentRequest,
  currentRecordOf,
  type EntryCall,
  expectationOf,
  notFound,
  requireConditions,
  rootRefusal,
  type Services,
  WRITE_ATTEMPTS,
} from '../entry-call.ts';

/**
 * DELETE of an object or an empty directory: http-api.md §5.4 and §6.5. When the entry becomes one of the other kind under
 * way, the request starts over on what is there now, unless it is conditional.
 */
export async function deleteEntry(call: EntryCall, services: Services): Promise<void> {
  if (call.endpoint.isRoot) throw rootRefusal(call);
  const isConditional = isGuarded(call.exchange.request.headers);
  let entry = call.entry;
  for (let attempt = 1; entry !== undefined; attempt += 1) {
    const outcome = await deleteOnce(call, entry, services);
    if (outcome === 'deleted') {
      services.responder.empty(call.exchange, 204);
      return;
    }
    if (outcome === 'absent') break;
    if (isConditional || attempt === WRITE_ATTEMPTS) throw concurrentRequest(call);
    entry = await services.metadata.get(call.place, { signal: call.exchange.signal });
  }
  throw notFound(call);
}

async function deleteOnce(
  call: EntryCall,
  entry: Entry,
  { metadata }: Services,
): Promise<'deleted' | 'absent' | 'changed'> {
  if (entry.kind === 'object') {
    requireConditions(call, currentRecordOf(entry, false));
    const { kind } = await metadata.deleteObject(call.place, entry.rev, expectationOf(call));
    return kind === 'deleted' || kind === 'absent' ? kind : 'changed';
  }
  const { kind } = await metadata.rmdir(call.place, expectationOf(call));
  if (kind === 'not_empty') throw new MantaError('DirectoryNotEmpty', `${call.target.path} is not empty`);
  return kind === 'deleted' || kind === 'absent' ? kind : 'changed';
}
