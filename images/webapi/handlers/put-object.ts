import { MantaError } from '../../../lib/errors/manta-error.ts';
import { newUuid, vnodeOf } from '../../../lib/metadata/path.ts';
import type { NewObject, PutResult, Uuid } from '../../../lib/metadata/types.ts';
import { contentTypeOrDefault } from '../content-type.ts';
import {
  concurrentRequest,
  currentRecordOf,
  directoryRefusal,
  type EntryCall,
  expectationOf,
  httpDate,
  missingParent,
  originEcho,
  requireConditions,
  requireNoRoleTags,
  requireParentDirectory,
  rootRefusal,
  type Services,
} from '../entry-call.ts';
import { CLIENT_WENT_AWAY } from '../errors.ts';
import { storedObjectHeadersOf } from '../stored-headers.ts';
import type { Upload } from '../transfer/types.ts';
import { LISTING_TYPE } from './list-directory.ts';
import { callerUuid } from './make-directory.ts';
import { type BodyDeclaration, parseBodyDeclaration, parseDisposition } from './upload-headers.ts';

const EMPTY_MD5 = '1B2M2Y8AsgTpgAmY7PhCfg==';

/** Bytes that lie on storage nodes and wait for their entry. */
interface StoredBytes {
  readonly objectId: Uuid;
  readonly sizeBytes: number;
  readonly md5: string;
  readonly copies: readonly number[];
}

/**
 * PUT of an object, in the order of http-api.md §6.1: everything that can be refused is refused before the first byte
 * is asked for, and the entry is written only when every copy is durable. Bytes without an entry are given up for
 * collection.
 */
export async function putObject(call: EntryCall, services: Services): Promise<void> {
  const { exchange } = call;
  const { headers } = exchange.request;
  requireConditions(call, currentRecordOf(call.entry, call.endpoint.isRoot));
  if (call.endpoint.isRoot && call.contentType !== undefined && call.contentType !== LISTING_TYPE) {
    throw rootRefusal(call);
  }
  const declaration = parseBodyDeclaration(headers, services.config.copies);
  const contentDisposition = parseDisposition(headers);
  requireNoRoleTags(call);
  refuseDirectory(call);
  requireParentDirectory(call);
  if (call.entry === undefined && call.siblings > services.config.limits.directoryEntries) {
    const limit = services.config.limits.directoryEntries.toLocaleString('en-US');
    throw new MantaError('DirectoryLimitExceeded', `${call.place.dir} cannot exceed ${limit} entries`);
  }

  const stored = await storeBytes(call, declaration, services);
  exchange.objectId = stored.objectId;
  exchange.bytesIn = stored.sizeBytes;
  const object: NewObject = {
    owner: call.owner.uuid,
    creator: callerUuid(call),
    ...stored,
    contentType: contentTypeOrDefault(call.contentType),
    headers: storedObjectHeadersOf(headers, call.endpoint.root === 'public'),
    roles: [],
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
  };
  const mtimeMs = await saveEntry(call, object, services);
  services.responder.empty(exchange, 204, {
    etag: stored.objectId,
    'last-modified': httpDate(mtimeMs),
    'computed-md5': stored.md5,
    ...originEcho(call),
  });
}

/** A PUT over a directory: what describes a body is an update that cannot be made. */
function refuseDirectory(call: EntryCall): void {
  if (call.entry?.kind !== 'directory' && !call.endpoint.isRoot) return;
  const { headers } = call.exchange.request;
  const offending = ['content-length', 'content-md5', 'durability-level'].find(name => headers[name] !== undefined);
  if (offending === undefined) throw directoryRefusal(call);
  throw new MantaError('InvalidUpdate', `overwrite of "${offending}" forbidden on a directory`);
}

async function storeBytes(call: EntryCall, declaration: BodyDeclaration, services: Services): Promise<StoredBytes> {
  const { exchange } = call;
  const { request, response, signal } = exchange;
  const objectId = newUuid();
  const { sizeBytes, maxBytes, md5, copies } = declaration;
  const creator = callerUuid(call);
  if (sizeBytes === 0) {
    if (md5 !== undefined && md5 !== EMPTY_MD5) throw md5Mismatch(md5);
    sendContinue(call);
    return { objectId, sizeBytes: 0, md5: EMPTY_MD5, copies: [] };
  }
  const upload = await services.transfers.openUpload(
    {
      creator,
      objectId,
      copies,
      operator: call.caller.kind === 'account' && call.caller.account.operator,
      requestId: exchange.requestId,
      hint: `${vnodeOf(call.place.dir)} ${call.target.path}`,
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
      ...(md5 === undefined ? {} : { md5 }),
    },
    signal,
  );
  exchange.storageNodes = upload.storageIds;
  if (response.destroyed) {
    upload.abort();
    throw new MantaError('UploadAbandoned', CLIENT_WENT_AWAY);
  }
  sendContinue(call);
  const sent = await upload.send(request, signal).catch(async error => {
    if (upload.mayHaveStored())
      await giveUp(call, { objectId, sizeBytes: sizeBytes ?? 0, copies: upload.copies }, services);
    throw error;
  });
  return settle(call, objectId, upload, sent, services);
}

/** A chunked body may turn out empty: then the object has no copies, and the nodes' empty files are nobody's. */
async function settle(
  call: EntryCall,
  objectId: Uuid,
  upload: Upload,
  sent: { readonly sizeBytes: number; readonly md5: string },
  services: Services,
): Promise<StoredBytes> {
  if (sent.sizeBytes > 0) return { objectId, ...sent, copies: upload.copies };
  await giveUp(call, { objectId, sizeBytes: 0, copies: upload.copies }, services);
  return { objectId: newUuid(), sizeBytes: 0, md5: sent.md5, copies: [] };
}

/** Writes the entry; returns its time of modification, epoch milliseconds. */
async function saveEntry(call: EntryCall, object: NewObject, services: Services): Promise<number> {
  let result: PutResult;
  try {
    result = await services.metadata.putObject(call.place, object, expectationOf(call));
  } catch (error) {
    await giveUp(call, object, services);
    throw error;
  }
  switch (result.kind) {
    case 'created':
    case 'replaced':
    case 'unchanged':
      return result.mtimeMs;
    case 'superseded':
      return services.clock.now();
    default:
      await giveUp(call, object, services);
      throw refusalOf(call, result.kind);
  }
}

function refusalOf(call: EntryCall, kind: 'no_directory' | 'is_directory' | 'precondition' | 'expired'): unknown {
  switch (kind) {
    case 'no_directory':
      return missingParent(call);
    case 'is_directory':
      return directoryRefusal(call);
    case 'precondition':
      return concurrentRequest(call);
    case 'expired':
      return new MantaError('ServiceUnavailable', 'the entry could not be written in time');
  }
}

function giveUp(
  call: EntryCall,
  bytes: { readonly objectId: Uuid; readonly sizeBytes: number; readonly copies: readonly number[] },
  { metadata }: Services,
): Promise<void> {
  if (bytes.copies.length === 0) return Promise.resolve();
  return metadata.abandon(call.place, {
    objectId: bytes.objectId,
    sizeBytes: bytes.sizeBytes,
    copies: bytes.copies,
    creator: callerUuid(call),
    owner: call.owner.uuid,
  });
}

function sendContinue({ exchange }: EntryCall): void {
  if (!exchange.awaitsContinue) return;
  exchange.awaitsContinue = false;
  exchange.response.writeContinue();
}

function md5Mismatch(expected: string): MantaError {
  return new MantaError('ContentMD5Mismatch', `Content-MD5 expected ${expected}, but was ${EMPTY_MD5}`);
}
