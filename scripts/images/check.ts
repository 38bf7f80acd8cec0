import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { type Container, startContainer } from './container.ts';
import { type ImageStart, unpackArchive } from './root-fs.ts';
import { type Trial, trialOf } from './trials.ts';

/** Of all programs: `USER` of their Dockerfiles. */
const USER = '65532:65532';
const ENDED_WELL = 'ended with 0';
const UP_WITHIN_MS = 60_000;
const DOWN_WITHIN_MS = 30_000;

/**
 * Starts an image's program as a pod would and sees it come up and, on SIGTERM, end in order: as its own user, who owns
 * nothing, with a root file system that cannot be written. Throws MantaError `ImageUnfit`, with what the program said.
 */
export async function checkArchive(name: string, archive: string): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new MantaError('Usage', '--check needs Linux and root');
  const dir = mkdtempSync(join(tmpdir(), 'manta-check-'));
  chmodSync(dir, 0o755);
  try {
    const root = join(dir, 'root');
    const start = await unpackArchive(archive, root);
    if (start.user !== USER) throw new MantaError('ImageUnfit', `${name} runs as ${start.user || 'root'}, not ${USER}`);
    const [own] = ownedFiles(root);
    if (own !== undefined) throw new MantaError('ImageUnfit', `${name}: its user could change ${own}`);
    await tryWriting(root, start);
    const ports = (await freePorts(4)) as [number, number, number, number];
    await tryProgram(name, dir, start, await trialOf(name, ports));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What follows means nothing unless this fails. */
async function tryWriting(root: string, start: ImageStart): Promise<void> {
  const command = ['sh', '-c', 'touch /manta-was-here 2>&1; touch /var/tmp/x 2>&1; id'];
  const container = startContainer({
    root,
    start: { ...start, workingDir: '/' },
    command,
    args: [],
    writable: {},
    readOnly: {},
  });
  await container.ended;
  const said = container.output();
  if (said.match(/Read-only file system/g)?.length !== 2 || !said.includes('uid=65532')) {
    throw new MantaError('ImageUnfit', `the check is void, its root file system can be written:\n${said}`);
  }
}

async function tryProgram(name: string, dir: string, start: ImageStart, trial: Trial): Promise<void> {
  const files = join(dir, 'files');
  mkdirSync(files);
  for (const [file, text] of Object.entries(trial.files)) writeFileSync(join(files, file), text, { mode: 0o644 });
  if (trial.config !== undefined) writeFileSync(join(files, 'config.yaml'), stringify(trial.config));
  const writable: Record<string, string> = {};
  for (const [index, target] of trial.writable.entries()) {
    const source = join(dir, `volume-${index}`);
    mkdirSync(source);
    chownSync(source, 65_532, 65_532);
    writable[target] = source;
  }
  const { args, env = [], commands = [] } = trial;
  for (const script of commands) {
    const command = ['sh', '-ec', script];
    const container = startContainer({ root: join(dir, 'root'), start, command, args: [], writable, readOnly: {} });
    const how = await container.ended;
    if (how !== ENDED_WELL) throw unfit(name, `${script} ${how}`, container);
  }
  const container = startContainer({
    root: join(dir, 'root'),
    start,
    args,
    env,
    writable,
    readOnly: { '/etc/manta': files },
  });
  try {
    await comesUp(name, container, trial);
    container.terminate();
    const how = await Promise.race([container.ended, sleep(DOWN_WITHIN_MS, 'did not end')]);
    if (how !== ENDED_WELL) throw unfit(name, `on SIGTERM it ${how}`, container);
  } finally {
    container.kill();
    await container.ended;
  }
}

async function comesUp(name: string, container: Container, trial: Trial): Promise<void> {
  let how: string | undefined;
  container.ended.then(ending => {
    how = ending;
  });
  const until = performance.now() + UP_WITHIN_MS;
  for (;;) {
    if (how !== undefined) throw unfit(name, `it ${how}`, container);
    const status = await fetch(trial.isUp).then(
      answer => answer.status,
      () => undefined,
    );
    if (status === 200) return;
    if (performance.now() > until) throw unfit(name, `${trial.isUp} answers ${status ?? 'nothing'}`, container);
    await sleep(100);
  }
}

function unfit(name: string, what: string, container: Container): MantaError {
  return new MantaError('ImageUnfit', `${name}: ${what}. It said:\n${container.output().slice(-4_000)}`);
}

/** Files of the image that belong to its user. */
function ownedFiles(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(file => statSync(file).uid === 65_532)
    .map(file => file.slice(root.length));
}
