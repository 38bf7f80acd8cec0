import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import type { TransferConfig } from './config.ts';

/** One copy of an object on its way to one storage node. metadata.md §14.6. */
export interface CopyUpload {
  readonly nodeNo: number;
  readonly storageId: string;
  /** False when the node takes no more for now; `onDrain` says when it does. */
  write(chunk: Buffer): boolean;
  onDrain(listener: () => void): void;
  /** Called at most once, when the node fails or answers before it has the whole body. */
  onFailure(listener: (error: MantaError) => void): void;
  /** Ends the body and resolves with the node's receipt. Throws MantaError as `Upload.send` does. */
  finish(): Promise<Receipt>;
  /** True from the last byte sent on, unless the node refused it: its file may be in place. */
  mayHaveStored(): boolean;
  destroy(): void;
}

export interface Receipt {
  readonly bytes: number;
  readonly md5: string;
}

export interface CopyTarget {
  readonly nodeNo: number;
  readonly storageId: string;
  readonly baseUrl: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const receiptSchema = z.object({ bytes: z.number().int(), md5: z.string() });
const refusalSchema = z.object({ code: z.string(), message: z.string() });

/**
 * Connects to a node and resolves when it has said `100 Continue`. Throws MantaError `NotEnoughSpace` for a 507, and
 * `Unavailable` for anything else; then nothing is left open.
 */
export async function openCopy(
  target: CopyTarget,
  agent: Agent,
  config: TransferConfig,
  signal: AbortSignal,
): Promise<CopyUpload> {
  const request = httpRequest(target.baseUrl, {
    agent,
    method: 'PUT',
    path: target.path,
    headers: { ...target.headers, expect: '100-continue' },
  });
  request.setNoDelay(true);
  const outcome = watch(request);
  request.flushHeaders();
  const timer = setTimeout(() => request.destroy(new Error('no 100 Continue in time')), config.continueMs);
  const connecting = setTimeout(() => {
    if (request.socket?.connecting !== false) request.destroy(new Error('no connection in time'));
  }, config.connectMs);
  const abort = () => request.destroy(new Error('the upload was given up'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    const early = await Promise.race([once(request, 'continue'), outcome]);
    if (early !== undefined) throw early.kind === 'answered' ? await refusal(early.response) : unavailable(early.error);
    return copyUpload(target, request, outcome, config);
  } catch (error) {
    request.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(connecting);
    signal.removeEventListener('abort', abort);
  }
}

type Outcome =
  | { readonly kind: 'answered'; readonly response: IncomingMessage }
  | { readonly kind: 'failed'; readonly error: Error };

/** How the exchange with the node ends; never rejects. */
function watch(request: ClientRequest): Promise<Outcome> {
  return new Promise(resolve => {
    request.once('response', response => resolve({ kind: 'answered', response }));
    request.on('error', error => resolve({ kind: 'failed', error }));
    request.once('close', () => resolve({ kind: 'failed', error: new Error('the connection was closed') }));
  });
}

function once(request: ClientRequest, event: 'continue'): Promise<undefined> {
  return new Promise(resolve => request.once(event, () => resolve(undefined)));
}

function copyUpload(
  target: CopyTarget,
  request: ClientRequest,
  outcome: Promise<Outcome>,
  config: TransferConfig,
): CopyUpload {
  let stored: 'no' | 'maybe' = 'no';
  let finishing = false;
  return {
    nodeNo: target.nodeNo,
    storageId: target.storageId,
    write: chunk => request.write(chunk),
    onDrain: listener => {
      request.on('drain', listener);
    },
    onFailure: listener => {
      void outcome.then(async end => {
        if (finishing) return;
        listener(end.kind === 'answered' ? failed(await refusal(end.response)) : failed(end.error));
      });
    },
    async finish() {
      finishing = true;
      stored = 'maybe';
      const timer = setTimeout(() => request.destroy(new Error('no answer in time')), config.answerMs);
      request.end();
      try {
        const end = await outcome;
        if (end.kind === 'failed') throw end.error;
        if (end.response.statusCode === 201) return receiptSchema.parse(JSON.parse(await text(end.response)));
        // A node that fails (500) may have done so after its rename; one that refuses has done so before.
        if (end.response.statusCode !== 500) stored = 'no';
        throw await refusal(end.response);
      } catch (error) {
        throw codeOf(error) === 'ContentMD5Mismatch' ? error : failed(error);
      } finally {
        clearTimeout(timer);
      }
    },
    mayHaveStored: () => stored === 'maybe',
    destroy: () => {
      request.destroy();
    },
  };
}

/** The node's `{code, message}`; anything else it may have said is `Unavailable`. */
async function refusal(response: IncomingMessage): Promise<MantaError> {
  const body = await text(response).catch(() => '');
  try {
    const { code, message } = refusalSchema.parse(JSON.parse(body));
    return code === 'NotEnoughSpace' || code === 'ContentMD5Mismatch'
      ? new MantaError(code, message)
      : unavailable(`${code}: ${message}`);
  } catch {
    return unavailable(`status ${response.statusCode}`);
  }
}

function unavailable(why: unknown): MantaError {
  const reason = why instanceof Error ? `${codeOf(why) ?? ''} ${why.message}`.trim() : String(why);
  return new MantaError('Unavailable', reason, { cause: why });
}

function failed(cause: unknown): MantaError {
  return new MantaError('InternalError', 'a storage node failed during the upload', { cause });
}
