import type { Readable } from 'node:stream';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import type { TransferConfig } from './config.ts';
import type { CopyUpload, Receipt } from './copy-upload.ts';
import type { Upload } from './types.ts';

/** The copies of one object, all of them waiting for its body. Guarantees are those of `Upload`. */
export function createUpload(
  copies: readonly CopyUpload[],
  maxBytes: number | undefined,
  config: TransferConfig,
): Upload {
  let refused = false;
  const abort = () => {
    for (const copy of copies) copy.destroy();
  };
  return {
    copies: copies.map(copy => copy.nodeNo),
    storageIds: copies.map(copy => copy.storageId),
    abort,
    mayHaveStored: () => !refused && copies.some(copy => copy.mayHaveStored()),
    async send(body, signal) {
      try {
        const sizeBytes = await pump(body, copies, maxBytes, config, signal);
        const receipts = await Promise.all(copies.map(copy => copy.finish()));
        return { sizeBytes, md5: agree(receipts, sizeBytes) };
      } catch (error) {
        abort();
        // All of them compare with the same digest, before they put the file into place.
        refused = codeOf(error) === 'ContentMD5Mismatch';
        throw error;
      }
    },
  };
}

/** Every copy must have what was sent, and all the same digest. */
function agree(receipts: readonly Receipt[], sizeBytes: number): string {
  const md5 = receipts[0]?.md5;
  if (md5 === undefined || receipts.some(receipt => receipt.md5 !== md5 || receipt.bytes !== sizeBytes)) {
    throw new MantaError('InternalError', 'the copies of an upload differ');
  }
  return md5;
}

/**
 * Moves the body to all copies at the pace of the slowest, so that no more than one chunk waits here. The client's idle
 * timer runs only while we wait for the client, the stall timer only while we wait for a node.
 */
function pump(
  body: Readable,
  copies: readonly CopyUpload[],
  maxBytes: number | undefined,
  config: TransferConfig,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    const full = new Set<CopyUpload>();
    let timer: NodeJS.Timeout | undefined;

    const waitForClient = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () => settle(new MantaError('UploadTimeout', 'request took too long to send data')),
        config.clientIdleMs,
      );
    };
    const waitForNodes = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () => settle(new MantaError('InternalError', 'a storage node stalled during the upload')),
        config.stallMs,
      );
    };
    const onData = (chunk: Buffer) => {
      sent += chunk.length;
      if (maxBytes !== undefined && sent > maxBytes) {
        settle(new MantaError('MaxContentLengthExceeded', `request has exceeded ${maxBytes} bytes`));
        return;
      }
      for (const copy of copies) if (!copy.write(chunk)) full.add(copy);
      if (full.size === 0) {
        timer?.refresh();
        return;
      }
      body.pause();
      waitForNodes();
    };
    const onDrain = (copy: CopyUpload) => {
      if (!full.delete(copy) || full.size > 0) return;
      waitForClient();
      body.resume();
    };
    const onEnd = () => settle(undefined);
    const onGone = () => settle(new MantaError('UploadAbandoned', 'request was aborted prematurely by the client'));
    let settled = false;
    const settle = (error: MantaError | undefined) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      body.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      signal.removeEventListener('abort', onGone);
      // Whoever answers the client decides what becomes of the rest of the body.
      body.on('error', () => {});
      if (error === undefined) resolve(sent);
      else {
        body.pause();
        reject(error);
      }
    };

    for (const copy of copies) {
      copy.onDrain(() => {
        if (!settled) onDrain(copy);
      });
      copy.onFailure(settle);
    }
    signal.addEventListener('abort', onGone, { once: true });
    if (signal.aborted || body.destroyed) {
      onGone();
      return;
    }
    body.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
    waitForClient();
  });
}
