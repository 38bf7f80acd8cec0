import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Region } from './region.ts';
import type { Report } from './report.ts';

const MIB = 1 << 20;

/**
 * Puts and gets one large object with the real CLI: equal digests at the client and in two storage directories, and the
 * region's resident memory must not grow with the object.
 */
export async function transfers(region: Region, sizeMib: number): Promise<Report> {
  const problems: string[] = [];
  const scratch = await mkdtemp(join(tmpdir(), 'manta-transfers-'));
  try {
    const source = join(scratch, 'source');
    const expected = await writeRandomFile(source, sizeMib);
    const before = residentMib(region.pid);
    let peak = before;
    const sampling = setInterval(() => {
      peak = Math.max(peak, residentMib(region.pid));
    }, 100);
    const putSeconds = await timed(() => region.cli(`mput -qf ${source} ~~/stor/large`));
    const chunkedSeconds = await timed(() =>
      region.cli(`cat ${source} | mput -q -H 'max-content-length: ${sizeMib * MIB}' ~~/stor/chunked`),
    );
    const copy = join(scratch, 'copy');
    const getSeconds = await timed(() => region.cli(`mget -q ~~/stor/large > ${copy}`));
    clearInterval(sampling);
    if ((await digestOf(copy)) !== expected) problems.push('mget gave other bytes');
    const files = await region.filesOf('large');
    if (files.length !== 2) problems.push(`the object lies in ${files.length} storage directories`);
    for (const file of files) if ((await digestOf(file)) !== expected) problems.push(`${file} holds other bytes`);
    const grownMib = Math.round(peak - before);
    if (grownMib >= 150) problems.push(`resident memory grew by ${grownMib} MiB`);
    const rate = (seconds: number) => `${Math.round(sizeMib / seconds)} MiB/s`;
    return {
      name: 'transfers',
      figures: {
        MiB: sizeMib,
        put: rate(putSeconds),
        'put chunked': rate(chunkedSeconds),
        get: rate(getSeconds),
        'RSS before MiB': Math.round(before),
        'RSS grew MiB': grownMib,
      },
      problems,
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return (performance.now() - startedAt) / 1000;
}

/** Resident memory of the process itself, not of the PostgreSQL beside it. */
function residentMib(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) / 1024;
}

async function writeRandomFile(path: string, sizeMib: number): Promise<string> {
  const random = spawn('head', ['-c', String(sizeMib * MIB), '/dev/urandom'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const file = await open(path, 'w');
  await pipeline(random.stdout, file.createWriteStream());
  return digestOf(path);
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash);
  return hash.digest('hex');
}
