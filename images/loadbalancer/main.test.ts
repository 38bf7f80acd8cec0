import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { createSelfSigned } from '../../lib/certificates/issue.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { findNginx } from './testing/find-nginx.ts';
import { startUpstream, type Upstream } from './testing/upstream.ts';

/** The load balancer as a process of its own. */
let dir: string;
let upstream: Upstream;
let child: ChildProcess;
let log: string;
let clearUrl: string;
let controlUrl: string;
let exited: Promise<unknown[]>;
const held: (() => void)[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-lb-main-'));
  upstream = await startUpstream((request, response) => {
    if (request.url !== '/slow') return void response.end('ok');
    response.write('begun ');
    held.push(() => response.end('ended'));
  });
  const [tlsPort, clearPort, control] = (await freePorts(3)) as [number, number, number];
  const request = { subject: { commonName: 'x' }, usages: ['server'], days: 1 } as const;
  const { certificate, key } = await createSelfSigned(request, Date.now());
  const files = { certificateFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  writeFileSync(files.certificateFile, certificate);
  writeFileSync(files.keyFile, key);
  const config = {
    listen: { addresses: ['127.0.0.1'], tlsPort, clearPort },
    control: { host: '127.0.0.1', port: control },
    backends: { kind: 'fixed', list: [upstream.backend] },
    certificate: files,
    stateDir: join(dir, 'state'),
    nginx: await findNginx(),
    timers: { lameDuck: 500 },
  };
  writeFileSync(join(dir, 'config.yaml'), stringify(config));
  clearUrl = `http://127.0.0.1:${clearPort}`;
  controlUrl = `http://127.0.0.1:${control}`;
  child = spawn(process.execPath, [resolve(import.meta.dirname, 'main.ts'), join(dir, 'config.yaml')]);
  exited = once(child, 'exit');
  log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      log += chunk;
    });
  }
  await eventually(async () => expect(await readiness()).toBe(200), 20_000);
}, 60_000);

afterEach(async () => {
  // nginx ends by itself when nobody asks it to only if it is asked: it is no part of its parent's life.
  const pid = /"master":(\d+)/.exec(log)?.[1];
  child.kill('SIGKILL');
  await exited;
  if (pid !== undefined) killIfAlive(-Number(pid));
  await upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

const readiness = async () =>
  fetch(`${controlUrl}/readyz`).then(
    ({ status }) => status,
    () => undefined,
  );

test('on SIGTERM it turns unready, still answers, lets requests end, and logs each of them', async () => {
  const download = get(`${clearUrl}/slow`);
  const [response] = (await once(download, 'response')) as [IncomingMessage];
  const body = text(response);
  child.kill('SIGTERM');
  await eventually(async () => expect(await readiness()).toBe(503));
  expect(await (await fetch(`${clearUrl}/late`)).text()).toBe('ok');
  await eventually(() =>
    fetch(clearUrl).then(
      () => false,
      () => true,
    ),
  );
  for (const finish of held.splice(0)) finish();
  expect(await body).toBe('begun ended');
  expect(await exited).toEqual([0, null]);
  for (const url of ['/slow', '/late']) expect(log).toContain(`"url":"${url}"`);
  expect(log).not.toContain('PRIVATE');
}, 60_000);

test('when nginx dies it ends itself, so that it is started anew', async () => {
  const master = Number(/"master":(\d+)/.exec(log)?.[1]);
  process.kill(-master, 'SIGKILL');
  expect(await exited).toEqual([1, null]);
  expect(log).toContain('nginx is gone');
}, 60_000);
