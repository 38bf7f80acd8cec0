import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createProgress } from '../images/coal/progress.ts';
import { lockState, type StateLock } from '../images/coal/state-lock.ts';
import { MantaError } from '../lib/errors/manta-error.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { checkArchive } from './images/check.ts';
import { contextOf, findImages, hashOf, type ImageSource, stage } from './images/contents.ts';
import { type Engine, findEngine } from './images/engine.ts';
import { BASES, basesOf, isRegistryThere, makeBase } from './images/local-bases.ts';

const USAGE = `Builds the programs' images, each into an archive that "docker load" reads.

  npm run images [-- NAME …]

      --tag TAG         in place of the version of package.json
      --push REGISTRY   sends them to REGISTRY/NAME:TAG as well
      --rebuild         builds what has not changed, too
      --new-bases       makes local bases anew, where no registry answers
      --check           starts each as Kubernetes would, with a read-only root file system; needs root
`;
/** Archives of each name that are kept. */
const KEPT = 3;

const root = resolve(import.meta.dirname, '..');
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta');
const archives = join(cache, 'images');
const store = join(cache, 'image-store');
const log = join(store, 'log');
let lock: StateLock | undefined;
const progress = createProgress({ clock: systemClock, write: text => void process.stdout.write(text) });

interface Order {
  readonly images: readonly ImageSource[];
  readonly tag: string;
  readonly push: string | undefined;
  readonly isForced: boolean;
  readonly wantsNewBases: boolean;
  readonly isChecked: boolean;
}

function readOrder(): Order | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      tag: { type: 'string' },
      push: { type: 'string' },
      rebuild: { type: 'boolean', default: false },
      'new-bases': { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const all = findImages(root);
  const unknown = positionals.filter(name => !all.some(image => image.name === name));
  if (unknown.length > 0) {
    const names = all.map(({ name }) => name).join(', ');
    throw new MantaError('Usage', `there is no image ${unknown.join(', ')}: there are ${names}`);
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    images: positionals.length === 0 ? all : all.filter(({ name }) => positionals.includes(name)),
    tag: values.tag ?? version,
    push: values.push,
    isForced: values.rebuild,
    wantsNewBases: values['new-bases'],
    isChecked: values.check,
  };
}

async function execute(order: Order): Promise<void> {
  mkdirSync(archives, { recursive: true });
  mkdirSync(store, { recursive: true });
  rmSync(log, { force: true });
  // Held as long as this process lives.
  lock = lockState(store);
  if (lock === undefined) throw new MantaError('Busy', 'another process builds images');
  const planned = order.images.map(image => {
    const reference = `docker.io/manta/${image.name}:${order.tag}`;
    const files = contextOf(root, image);
    return { image, reference, files, archive: join(archives, `${image.name}-${hashOf(root, files, reference)}.tar`) };
  });
  const outdated = planned.filter(({ archive }) => order.isForced || !existsSync(archive));
  if (outdated.length > 0 || order.push !== undefined) {
    const engine = await findEngine(store, log);
    try {
      if (outdated.length > 0) await prepareBases(engine, outdated, order.wantsNewBases);
      for (const plan of outdated) await progress.step(plan.image.name, () => build(engine, plan));
      for (const { image, reference } of order.push === undefined ? [] : planned) {
        const target = `${order.push}/${image.name}:${order.tag}`;
        await progress.step(`push ${image.name}`, () => engine.push(reference, target));
      }
    } finally {
      await engine.close();
    }
  }
  for (const { image, archive } of planned) {
    // The newest of a name is the one that is wanted now, whenever it was built.
    utimesSync(archive, new Date(), new Date());
    forgetOld(image.name);
    console.log(`  ${archive} (${Math.round(statSync(archive).size / 2 ** 20)} MiB)`);
  }
  if (order.isChecked) {
    for (const { image, archive } of planned) {
      await progress.step(`check ${image.name}`, () => checkArchive(image.name, archive));
    }
  }
}

interface Plan {
  readonly image: ImageSource;
  readonly reference: string;
  readonly files: readonly string[];
  readonly archive: string;
}

async function build(engine: Engine, { image, reference, files, archive }: Plan): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'manta-image-'));
  try {
    stage(root, files, context);
    await engine.build(reference, join(context, image.dockerfile), context);
    const unfinished = `${archive}.unfinished`;
    await engine.archive(reference, unfinished);
    renameSync(unfinished, archive);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}

/** Where no registry answers, the bases are made here, once. Docker and Podman are left to say that themselves. */
async function prepareBases(engine: Engine, plans: readonly Plan[], isForced: boolean): Promise<void> {
  const { buildah } = engine;
  if (buildah === undefined) return;
  const wanted = new Set(plans.flatMap(({ image }) => basesOf(join(root, image.dockerfile))));
  const missing: string[] = [];
  for (const base of BASES) if (wanted.has(base) && (isForced || !(await engine.has(base)))) missing.push(base);
  if (missing.length === 0 || (await isRegistryThere())) return;
  for (const base of missing) {
    const title = `local base ${base.slice(base.lastIndexOf('/') + 1)}`;
    await progress.step(title, () => makeBase(base, { buildah, directory: join(store, 'base'), log }));
  }
}

function forgetOld(name: string): void {
  const pattern = new RegExp(`^${name}-[0-9a-f]{16}\\.tar$`);
  const found = readdirSync(archives)
    .filter(file => pattern.test(file))
    .map(file => join(archives, file))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const file of found.slice(KEPT)) rmSync(file);
}

try {
  const order = readOrder();
  if (order === undefined) process.stdout.write(USAGE);
  else await execute(order);
} catch (error) {
  if (!(error instanceof MantaError)) throw error;
  console.error(`\n${error.message}\n${existsSync(log) ? `\nAll that was said: ${log}\n` : ''}`);
  process.exitCode = 1;
}
