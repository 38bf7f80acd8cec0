import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Progress } from '../../images/coal/progress.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { attempt, run } from './command.ts';

/** A package of Debian's, and the programs or files by which it is known to be there. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'util-linux': ['unshare', 'nsenter', 'setpriv', 'mount', 'pivot_root'],
  procps: ['sysctl'],
  iproute2: ['ip'],
  iptables: ['iptables'],
  ipset: ['ipset'],
  nftables: ['nft'],
  conntrack: ['conntrack'],
  gcc: ['gcc'],
  'pkg-config': ['pkg-config'],
  'libseccomp-dev': ['/usr/include/seccomp.h'],
};

const INSTALLED_WITHIN_MS = 300_000;

/**
 * Sees to it that what the cluster needs of the system is installed. It needs root, as everything here. Throws MantaError
 * `PackagesMissing`, which says what to install, where apt-get does not.
 */
export async function installPackages(deps: { readonly progress: Progress }): Promise<void> {
  const missing = Object.entries(PACKAGES)
    .filter(([, proofs]) => !proofs.every(isThere))
    .map(([name]) => name);
  if (missing.length === 0) return;
  if (!isThere('apt-get')) throw notInstalled(missing);
  await deps.progress.step(`apt-get: ${missing.join(' ')}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const install = ['apt-get', 'install', '--yes', '--no-install-recommends', ...missing];
    const options = { env, withinMs: INSTALLED_WITHIN_MS };
    if ((await attempt(install, options)).code === 0) return;
    // The lists may be older than what the mirrors still have.
    await run(['apt-get', 'update'], options);
    await run(install, options).catch((cause: unknown) => {
      throw notInstalled(missing, cause);
    });
  });
}

function notInstalled(missing: readonly string[], cause?: unknown): MantaError {
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return new MantaError('PackagesMissing', `install ${missing.join(', ')}, by Debian's names${why}`, { cause });
}

function isThere(proof: string): boolean {
  if (proof.startsWith('/')) return existsSync(proof);
  // Programs for root are not on everybody's PATH.
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.some(directory => existsSync(join(directory, proof)));
}
