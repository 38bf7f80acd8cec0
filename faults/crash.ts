import { createHash, randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MantaClient } from './manta-client.ts';
import { type Region, startRegion } from './region.ts';
import type { Report } from './report.ts';

/**
 * Kills the whole region with SIGKILL at random moments of a mixed load, restarts it on the same state, and checks that
 * nothing acknowledged is missing, that no entry lacks its bytes, that no temporary file and no PostgreSQL is left over.
 */
export async function crash(options: { rounds: number; workers: number; dir: string; port: number }): Promise<Report> {
  const model = new Model();
  const totals = { acknowledged: 0, unknown: 0, refused: 0, verified: 0, lost: 0, wrong: 0 };
  const problems: string[] = [];
  let region = await startRegion(options);
  try {
    await makeDirectories(region.client, options.workers);
    for (let round = 1; round <= options.rounds; round += 1) {
      const counts = await loadUntilKilled(region, model, options.workers, randomInt(200, 2500));
      totals.acknowledged += counts.acknowledged;
      totals.unknown += counts.unknown;
      totals.refused += counts.refused;
      const startedAt = performance.now();
      region = await startRegion(options);
      const startMs = Math.round(performance.now() - startedAt);
      const check = await verify(region.client, model);
      totals.verified += check.verified;
      totals.lost += check.lost.length;
      totals.wrong += check.wrong.length;
      problems.push(...check.lost, ...check.wrong, ...(await region.inconsistencies()));
      console.log(
        `round ${round}: ${counts.acknowledged} acknowledged, ${counts.unknown} unknown when killed after ` +
          `${counts.afterMs} ms; restarted in ${startMs} ms; ${check.verified} verified, ${check.lost.length} lost, ` +
          `${check.wrong.length} wrong`,
      );
    }
    problems.push(...(await region.stop()));
  } finally {
    await region.kill();
  }
  return { name: 'crash', figures: { rounds: options.rounds, ...totals }, problems };
}

type Content = { readonly kind: 'object'; readonly md5: string } | { readonly kind: 'absent' | 'directory' };

/** What each path may hold: one certain content, or several while an answer is missing. */
class Model {
  readonly #paths = new Map<string, Content[]>();

  acknowledge(path: string, content: Content): void {
    this.#paths.set(path, [content]);
  }

  /** An operation whose answer never came: the path holds what it held, or the outcome. */
  suspect(path: string, content: Content): void {
    this.#paths.set(path, [...this.possible(path), content]);
  }

  /**
   * What was read after a crash is certain, but for one case: a directory whose removal was cut off between its two
   * shards is still listed, and the sweeper finishes the removal later (metadata.md §12.8).
   */
  settle(path: string, found: Content): void {
    const mayBeRemoved = found.kind === 'directory' && this.possible(path).some(({ kind }) => kind === 'absent');
    this.#paths.set(path, mayBeRemoved ? [found, { kind: 'absent' }] : [found]);
  }

  possible(path: string): Content[] {
    return this.#paths.get(path) ?? [{ kind: 'absent' }];
  }

  paths(): IterableIterator<string> {
    return this.#paths.keys();
  }
}

const MKDIR = { 'content-type': 'application/json; type=directory' };
const NAMES_PER_WORKER = 6;

async function makeDirectories(client: MantaClient, workers: number): Promise<void> {
  await Promise.all(
    Array.from({ length: Math.ceil(workers / 25) }, async (_, index) => {
      const answer = await client.request('PUT', `/${client.login}/stor/d${index}`, {
        headers: MKDIR,
        body: Buffer.alloc(0),
      });
      if (answer.status !== 204) throw new Error(`mkdir answered ${answer.status} ${answer.body}`);
    }),
  );
}

async function loadUntilKilled(region: Region, model: Model, workers: number, afterMs: number) {
  const counts = { acknowledged: 0, unknown: 0, refused: 0, afterMs };
  const ending = new AbortController();
  const running = Array.from({ length: workers }, (_, worker) =>
    work(region.client, model, worker, counts, ending.signal),
  );
  await sleep(afterMs);
  ending.abort();
  await region.kill();
  await Promise.all(running);
  return counts;
}

async function work(
  client: MantaClient,
  model: Model,
  worker: number,
  counts: { acknowledged: number; unknown: number; refused: number },
  ending: AbortSignal,
): Promise<void> {
  const directory = `/${client.login}/stor/d${Math.floor(worker / 25)}`;
  while (!ending.aborted) {
    const path = `${directory}/w${worker}-${randomInt(NAMES_PER_WORKER)}`;
    const { send, outcome } = chooseOperation(client, path, model.possible(path));
    try {
      const answer = await send();
      if (answer.status === 204) {
        model.acknowledge(path, outcome);
        counts.acknowledged += 1;
      } else {
        if (answer.status >= 500) model.suspect(path, outcome);
        counts.refused += 1;
      }
    } catch {
      model.suspect(path, outcome);
      counts.unknown += 1;
      // The connection is gone: the region is dead or dying.
      if (ending.aborted) return;
    }
  }
}

function chooseOperation(client: MantaClient, path: string, possible: readonly Content[]) {
  const dice = Math.random();
  if (possible.some(content => content.kind !== 'absent') && dice < 0.3) {
    return { send: () => client.request('DELETE', path), outcome: { kind: 'absent' } as Content };
  }
  if (possible.every(content => content.kind !== 'object') && dice > 0.85) {
    return {
      send: () => client.request('PUT', path, { headers: MKDIR, body: Buffer.alloc(0) }),
      outcome: { kind: 'directory' } as Content,
    };
  }
  const body = randomBytes(randomInt(0, 32_768));
  const md5 = createHash('md5').update(body).digest('base64');
  return { send: () => client.request('PUT', path, { body }), outcome: { kind: 'object', md5 } as Content };
}

/** Reads every path of the model back; what is found becomes the model's certain knowledge. */
async function verify(client: MantaClient, model: Model) {
  const lost: string[] = [];
  const wrong: string[] = [];
  let verified = 0;
  const paths = [...model.paths()];
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
        const found = await read(client, path);
        const possible = model.possible(path);
        if (found.kind === 'wrong') wrong.push(`${path}: ${found.why}`);
        else if (possible.some(content => same(content, found))) verified += 1;
        else if (found.kind === 'absent') lost.push(`${path}: absent, may hold ${JSON.stringify(possible)}`);
        else wrong.push(`${path}: holds ${JSON.stringify(found)}, may hold ${JSON.stringify(possible)}`);
        if (found.kind !== 'wrong') model.settle(path, found);
      }
    }),
  );
  return { verified, lost, wrong };
}

async function read(client: MantaClient, path: string): Promise<Content | { kind: 'wrong'; why: string }> {
  const answer = await client.request('GET', path);
  if (answer.status === 404) return { kind: 'absent' };
  if (answer.status !== 200)
    return { kind: 'wrong', why: `GET answered ${answer.status} ${answer.body.subarray(0, 200)}` };
  if (answer.headers['content-type'] === 'application/x-json-stream; type=directory') return { kind: 'directory' };
  const md5 = createHash('md5').update(answer.body).digest('base64');
  if (md5 !== answer.headers['content-md5']) return { kind: 'wrong', why: 'the bytes differ from Content-MD5' };
  return { kind: 'object', md5 };
}

function same(a: Content, b: Content): boolean {
  return a.kind === b.kind && (a.kind !== 'object' || (b.kind === 'object' && a.md5 === b.md5));
}
