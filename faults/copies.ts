import { mkdir, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Region } from './region.ts';
import type { Report } from './report.ts';

/** Damages one of two copies in every way a disk can, and takes a volume away: reads use the other copy, writes go on. */
export async function copies(region: Region): Promise<Report> {
  const { client } = region;
  const problems: string[] = [];
  const body = Buffer.alloc(300_000, 'manta');
  const path = (name: string) => `/${client.login}/stor/${name}`;

  const damages: Record<string, (file: string) => Promise<unknown>> = {
    missing: file => rm(file),
    truncated: file => truncate(file, 1000),
    // Root reads through any mode, so a directory in the file's place stands for what cannot be read.
    unreadable: file => rm(file).then(() => mkdir(file)),
  };
  let reads = 0;
  for (const [how, damage] of Object.entries(damages)) {
    const put = await client.request('PUT', path(how), { body });
    if (put.status !== 204) problems.push(`PUT answered ${put.status}`);
    const [first] = await region.filesOf(how);
    if (first === undefined) problems.push(`${how}: no file found`);
    else await damage(first);
    // Copies are tried in random order: twenty reads meet the damaged one first about ten times.
    for (let i = 0; i < 20; i += 1) {
      const got = await client.request('GET', path(how));
      reads += 1;
      if (got.status !== 200 || !got.body.equals(body))
        problems.push(`${how}: GET answered ${got.status}, ${got.body.length} bytes`);
    }
  }

  const volume = join(region.dir, 'storage', '2');
  await rename(volume, `${volume}.gone`);
  let written = 0;
  for (let i = 0; i < 20; i += 1) {
    const put = await client.request('PUT', path(`gone${i}`), { body });
    const got = await client.request('GET', path(`gone${i}`));
    if (put.status === 204 && got.body.equals(body)) written += 1;
    else problems.push(`with a volume gone: PUT answered ${put.status} ${put.body}, GET ${got.status}`);
  }
  await rm(volume, { recursive: true, force: true });
  await rename(`${volume}.gone`, volume);
  return { name: 'copies', figures: { 'reads past damage': reads, 'writes without a volume': written }, problems };
}
