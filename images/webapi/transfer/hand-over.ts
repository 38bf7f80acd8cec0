import type { TokenSigner } from '../../../lib/region-token/region-token.ts';
import { grantOf, shuffle } from './download.ts';
import type { NodeView } from './node-view.ts';
import type { DownloadRequest, HandOver } from './types.ts';

/** A grant travels in one header, and load balancers have 32 KiB for all of them. */
const MAX_GRANT_BYTES = 24 * 1024;
/** After so many copies have failed somebody else, webapi reads itself: it tells the failures apart. */
const MAX_SKIPPED = 2;

/**
 * A copy that somebody else can read on behalf of this request (metadata.md §14.7). `skipped` are nodes, as `host:port`,
 * that it has tried before. Undefined when webapi has to read the bytes itself.
 */
export async function handOver(
  deps: { readonly view: NodeView; readonly signer: TokenSigner; readonly random: () => number },
  request: DownloadRequest,
  skipped: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<HandOver | undefined> {
  if (skipped.size > MAX_SKIPPED) return undefined;
  const path = `/${request.object.creator}/${request.object.objectId}`;
  for (const nodeNo of shuffle(request.object.copies, deps.random)) {
    const node = await deps.view.find(nodeNo, signal);
    if (node === undefined) continue;
    const { protocol, host } = new URL(node.baseUrl);
    if (protocol !== 'http:' || skipped.has(host)) continue;
    const grant = grantOf(deps, node.storageId, path, request);
    return grant.length > MAX_GRANT_BYTES ? undefined : { storageId: node.storageId, host, path, grant };
  }
  return undefined;
}
