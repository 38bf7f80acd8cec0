import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type CertificateFacts, inspectChain } from '../../lib/certificates/inspect.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';

/** A certificate that nginx can serve. */
export interface ServedCertificate {
  /** Files of the state directory that never change. */
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly leaf: CertificateFacts;
}

/** Why the certificate that is given now is not served. The message is for people, and holds nothing secret. */
export interface RefusedCertificate {
  readonly fault: string;
  readonly message: string;
}

export interface CertificateKeeper {
  /** Reads the files again. True when there is another certificate to serve. */
  look(): boolean;
  /** The last good one; undefined until there has been one. */
  served(): ServedCertificate | undefined;
  /** Set while the files hold something else that cannot be served. */
  refused(): RefusedCertificate | undefined;
  /** nginx does not take the one to serve: the one before it is served again. */
  giveUp(message: string): void;
  /** Removes the copies of certificates other than the one to serve, once nginx has left them. */
  forgetOthers(): void;
}

const COPY = /^tls-([0-9a-f]{16})\.(crt|key)$/;

/**
 * Keeps the last certificate that could be served, as a copy in `stateDir`, so that neither a bad one nor a half-written
 * pair of files ever reaches nginx, not even after the program's own restart. operations.md §4.8.
 */
export function createCertificateKeeper(
  deps: { readonly logger: Logger; readonly clock: Clock },
  config: { readonly certificateFile: string; readonly keyFile: string; readonly stateDir: string },
): CertificateKeeper {
  const { logger, clock } = deps;
  let served: ServedCertificate | undefined;
  let refused: RefusedCertificate | undefined;
  let previous: ServedCertificate | undefined;
  /** Certificate file of the one that nginx did not take. */
  let givenUp: string | undefined;

  function refuse(reason: RefusedCertificate): false {
    if (refused?.message !== reason.message) logger.error(reason, 'certificate refused');
    refused = reason;
    return false;
  }

  return {
    look() {
      let pem: Pem;
      try {
        pem = { certificate: readFileSync(config.certificateFile, 'utf8'), key: readFileSync(config.keyFile, 'utf8') };
      } catch (error) {
        served ??= recover(config.stateDir, clock);
        return refuse({ fault: 'Missing', message: error instanceof Error ? error.message : String(error) });
      }
      const verdict = inspectChain(pem, clock.now());
      if (verdict.kind === 'bad') {
        served ??= recover(config.stateDir, clock);
        return refuse({ fault: verdict.fault, message: verdict.message });
      }
      const files = filesOf(config.stateDir, pem);
      if (files.certificateFile === givenUp) return false;
      refused = undefined;
      if (files.certificateFile === served?.certificateFile) return false;
      writeWhole(files.keyFile, pem.key);
      writeWhole(files.certificateFile, pem.certificate);
      const [leaf] = verdict.chain;
      previous = served;
      served = { ...files, leaf };
      logger.info({ subjects: leaf.subjects, serial: leaf.serial, notAfter: new Date(leaf.notAfter) }, 'certificate');
      return true;
    },
    served: () => served,
    refused: () => refused,
    giveUp(message) {
      givenUp = served?.certificateFile;
      served = previous;
      refuse({ fault: 'Refused', message });
    },
    forgetOthers() {
      for (const name of readdirSync(config.stateDir)) {
        const path = join(config.stateDir, name);
        if (COPY.test(name) && path !== served?.certificateFile && path !== served?.keyFile) rmSync(path);
      }
    },
  };
}

interface Pem {
  readonly certificate: string;
  readonly key: string;
}

function filesOf(stateDir: string, pem: Pem): { readonly certificateFile: string; readonly keyFile: string } {
  const name = createHash('sha256').update(pem.certificate).update('\0').update(pem.key).digest('hex').slice(0, 16);
  return { certificateFile: join(stateDir, `tls-${name}.crt`), keyFile: join(stateDir, `tls-${name}.key`) };
}

/** The copy that an earlier process has left, if it can still be served. */
function recover(stateDir: string, clock: Clock): ServedCertificate | undefined {
  for (const name of readdirSync(stateDir)) {
    const [, id, kind] = COPY.exec(name) ?? [];
    if (id === undefined || kind !== 'crt') continue;
    const files = { certificateFile: join(stateDir, name), keyFile: join(stateDir, `tls-${id}.key`) };
    try {
      const pem = {
        certificate: readFileSync(files.certificateFile, 'utf8'),
        key: readFileSync(files.keyFile, 'utf8'),
      };
      const verdict = inspectChain(pem, clock.now());
      if (verdict.kind === 'good') return { ...files, leaf: verdict.chain[0] };
    } catch {
      // Left half-written: it was never served.
    }
  }
  return undefined;
}

function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
