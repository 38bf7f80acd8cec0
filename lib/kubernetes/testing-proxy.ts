import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request as send } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ApiServer } from '../apiserver-process/api-server.ts';
import type { KubernetesLocation } from './location.ts';

/** An answer that the proxy gives in the API server's place. */
export interface FalseAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** The admin's way to a real API server, on which a test can make the faults of networks and of servers happen. */
export interface ApiProxy {
  readonly location: KubernetesLocation;
  /** `METHOD /path?query` of every request so far. */
  readonly requests: string[];
  /** How many answers are under way. */
  open(): number;
  /** The next `times` requests that `matches` gets this answer. */
  answer(matches: RegExp, answer: FalseAnswer, times?: number): void;
  /** The next requests that `matches` reach the server, and their connection breaks before the answer. */
  loseAnswer(matches: RegExp, times?: number): void;
  /** Resets every connection; new ones are accepted. */
  reset(): void;
  /** Resets every connection and refuses new ones, until `restore`. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** Lets nothing through any more, in either direction, and keeps connections open, until `release`. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

interface Rule {
  readonly matches: RegExp;
  readonly answer: FalseAnswer | 'lose';
  left: number;
}

/** Listens on a free port of the loopback interface. */
export async function createApiProxy(server: Pick<ApiServer, 'url' | 'authority' | 'admin'>): Promise<ApiProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'manta-api-proxy-'));
  const agent = new Agent({
    keepAlive: true,
    ca: server.authority,
    cert: server.admin.certificate,
    key: server.admin.key,
  });
  const requests: string[] = [];
  const rules: Rule[] = [];
  /** What stops each answer on its way, and what lets it go on. */
  const flowing = new Set<() => void>();
  const held = new Set<() => void>();
  let isHeld = false;

  function pass(incoming: IncomingMessage, response: ServerResponse, isLost: boolean): void {
    const { host: _, ...headers } = incoming.headers;
    const outgoing = send(`${server.url}${incoming.url}`, { agent, method: incoming.method, headers }, answer => {
      if (isLost) {
        answer.resume();
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      // Heads of watches are passed on before their first event.
      response.flushHeaders();
      const flow = () => answer.pipe(response);
      answer.once('error', () => response.destroy());
      const pause = () => {
        answer.unpipe(response);
        answer.pause();
        held.add(flow);
      };
      if (isHeld) held.add(flow);
      else flow();
      flowing.add(pause);
      response.once('close', () => {
        flowing.delete(pause);
        held.delete(flow);
        answer.destroy();
      });
    });
    outgoing.once('error', () => response.destroy());
    incoming.pipe(outgoing);
  }

  function take(incoming: IncomingMessage, response: ServerResponse): void {
    const line = `${incoming.method} ${incoming.url}`;
    requests.push(line);
    response.once('error', () => {});
    const rule = rules.find(({ matches, left }) => left > 0 && matches.test(line));
    const go = () => {
      if (rule === undefined || rule.answer === 'lose') return pass(incoming, response, rule !== undefined);
      const { status, headers = {}, body } = rule.answer;
      incoming.resume();
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(body === undefined ? '' : `${JSON.stringify(body)}\n`);
    };
    if (rule !== undefined) rule.left -= 1;
    if (isHeld) held.add(go);
    else go();
  }

  const front = createServer(take);
  const listen = (port: number) => new Promise<void>(resolve => front.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = front.address() as AddressInfo;
  const file = join(dir, 'kubeconfig');
  writeFileSync(file, kubeconfigOf(`http://127.0.0.1:${port}`));

  function reset(): void {
    held.clear();
    front.closeAllConnections();
  }

  async function cut(): Promise<void> {
    const closed = new Promise<void>(resolve => front.close(() => resolve()));
    reset();
    await closed;
  }

  return {
    location: { kind: 'kubeconfig', files: [file] },
    requests,
    open: () => flowing.size,
    answer: (matches, answer, times = 1) => void rules.push({ matches, answer, left: times }),
    loseAnswer: (matches, times = 1) => void rules.push({ matches, answer: 'lose', left: times }),
    reset,
    cut,
    restore: () => listen(port),
    hold() {
      isHeld = true;
      for (const pause of flowing) pause();
    },
    release() {
      isHeld = false;
      for (const go of [...held]) go();
      held.clear();
    },
    async close() {
      if (front.listening) await cut();
      agent.destroy();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Plain HTTP, which clients accept only where nothing is verified. */
function kubeconfigOf(url: string): string {
  const name = 'proxy';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
    'current-context': name,
  });
}
