import { MantaError } from '../errors/manta-error.ts';
import { type KeyId, parseKeyId } from './key-id.ts';
import { SUPPORTED_ALGORITHMS, statusOfAlgorithm } from './signature-algorithm.ts';

/** The parts of a request that a signature may cover, as received. */
export interface SignedRequest {
  readonly method: string;
  /** Origin form, undecoded. */
  readonly target: string;
  /** `1.1` or `1.0`: part of the historic `request-line`. */
  readonly httpVersion: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** A claim still to be verified: this key's holder signed this text. */
export interface RequestSignature {
  readonly keyId: KeyId;
  /** Lower case; one that `verifySignature` knows. */
  readonly algorithm: string;
  /** What may have been signed: the signature counts when it matches any of them. */
  readonly signingStrings: readonly [string, ...string[]];
  readonly signature: Buffer;
}

/**
 * Reads the parameters of `Authorization: Signature <parameters>` and builds the text that was signed. Checks in the
 * order of http-api.md §9.2: syntax (MantaError `InvalidHeader`), date within `windowMs` of `nowMs` in both directions
 * (`RequestExpired`), algorithm (`InvalidAlgorithm`), keyId (`InvalidKeyId`). Throws nothing else.
 */
export function parseSignatureHeader(
  parameters: string,
  request: SignedRequest,
  clock: { readonly nowMs: number; readonly windowMs: number },
): RequestSignature {
  const given = parseParameters(parameters);
  const keyId = required(given, 'keyId');
  const algorithm = required(given, 'algorithm').toLowerCase();
  const signature = required(given, 'signature');
  const status = statusOfAlgorithm(algorithm);
  if (status === 'unknown') throw invalid(`${algorithm} is not supported`);
  const names = signedNames(given.get('headers'), request);
  const signingString = names.map(name => lineOf(name, request)).join('\n');
  checkDate(names, request, clock);
  if (status === 'disabled') {
    const supported = SUPPORTED_ALGORITHMS.join(', ');
    const message = `${algorithm.toUpperCase()} is not a supported signing algorithm. Supported algorithms are ${supported}`;
    throw new MantaError('InvalidAlgorithm', message);
  }
  return {
    keyId: parseKeyId(keyId),
    algorithm,
    signingStrings: [signingString],
    signature: Buffer.from(signature, 'base64'),
  };
}

/** `name="value"`, or bare digits as later drafts have for times; both may be followed by a comma. */
const PARAMETER = /[ \t]*([A-Za-z]+)=(?:"([^"]*)"|([0-9]+))[ \t]*(?:,|$)/y;

function parseParameters(text: string): Map<string, string> {
  const given = new Map<string, string>();
  PARAMETER.lastIndex = 0;
  for (let at = 0; at < text.length; at = PARAMETER.lastIndex) {
    const match = PARAMETER.exec(text);
    const name = match?.[1];
    if (name === undefined) throw invalid('bad param format');
    if (given.has(name)) throw invalid(`${name} was specified twice`);
    given.set(name, match?.[2] ?? match?.[3] ?? '');
  }
  return given;
}

function required(given: ReadonlyMap<string, string>, name: string): string {
  const value = given.get(name);
  if (value === undefined || value === '') throw invalid(`${name} was not specified`);
  return value;
}

/** Names in signing order. Each at most once, so that the text is never longer than the request's head. */
function signedNames(list: string | undefined, request: SignedRequest): readonly string[] {
  const names = (list ?? '')
    .toLowerCase()
    .split(/[ \t]+/)
    .filter(name => name !== '');
  if (names.length === 0) return [request.headers['x-date'] === undefined ? 'date' : 'x-date'];
  if (new Set(names).size !== names.length) throw invalid('a header was listed twice');
  if (!names.includes('date') && !names.includes('x-date')) throw invalid('date was not a signed header');
  return names;
}

function lineOf(name: string, request: SignedRequest): string {
  if (name === 'request-line') return `${request.method} ${request.target} HTTP/${request.httpVersion}`;
  if (name === '(request-target)') return `(request-target): ${request.method.toLowerCase()} ${request.target}`;
  return `${name}: ${headerOf(name, request)}`;
}

function headerOf(name: string, request: SignedRequest): string {
  const value = Object.hasOwn(request.headers, name) ? request.headers[name] : undefined;
  if (value === undefined) throw invalid(`${name} was not in the request`);
  return typeof value === 'string' ? value : value.join(', ');
}

/** Of two signed dates `x-date` counts: it is what clients add that cannot set `Date`. */
function checkDate(
  names: readonly string[],
  request: SignedRequest,
  clock: { readonly nowMs: number; readonly windowMs: number },
): void {
  const date = headerOf(names.includes('x-date') ? 'x-date' : 'date', request);
  const dateMs = Date.parse(date);
  if (Number.isNaN(dateMs)) throw invalid(`${date} is not a date`);
  if (dateMs < clock.nowMs - clock.windowMs) {
    throw new MantaError('RequestExpired', `Date header ${date} is too old`);
  }
  if (dateMs > clock.nowMs + clock.windowMs) {
    throw new MantaError('RequestExpired', `Date header ${date} is too far in the future`);
  }
}

function invalid(why: string): MantaError {
  return new MantaError('InvalidHeader', `Invalid Signature Authorization header: ${why}`);
}
