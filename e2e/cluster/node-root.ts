import { cpSync, existsSync, lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeName } from './addresses.ts';

/** Where a node finds the cluster's programs. */
export const PROGRAMS = '/opt/cluster';
/** Where a node finds its certificates, kubeconfigs and its programs' configuration. */
export const CONFIGURATION = '/etc/cluster';
/** Where a node's directories for PersistentVolumes are. */
export const VOLUMES = '/var/lib/volumes';

/** What of this machine's /etc a node's programs read. */
const FROM_ETC = [
  ...['alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'nsswitch.conf', 'os-release', 'passwd', 'group'],
  ...['protocols', 'services', 'ethertypes', 'iproute2', 'ssl/certs', 'localtime', 'xtables.conf'],
];

const OWN_DIRECTORIES = [
  ...['dev', 'proc', 'sys', 'run', 'tmp', 'usr', 'root', 'srv', 'opt/cluster', 'etc/cluster', 'etc/cni/net.d'],
  ...['var/lib/containerd', 'var/lib/kubelet', 'var/lib/volumes', 'var/log/pods', 'var/log/containers', 'var/tmp'],
];

/**
 * Lays out the root directory of a node, which holds everything that outlives its power cuts. Of this machine it shows
 * the programs in /usr, read only, and a few files of /etc. Idempotent.
 */
export function layOutRoot(root: string, number: number): void {
  for (const directory of OWN_DIRECTORIES) mkdirSync(join(root, directory), { recursive: true });
  rmSync(join(root, 'tmp'), { recursive: true, force: true });
  mkdirSync(join(root, 'tmp'), { mode: 0o1777 });
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) sameAsHere(root, name);
  for (const name of FROM_ETC) {
    const here = join('/etc', name);
    if (existsSync(here) && !isThere(join(root, here))) {
      cpSync(here, join(root, here), { recursive: true, verbatimSymlinks: true });
    }
  }
  if (!isThere(join(root, 'var/run'))) symlinkSync('/run', join(root, 'var/run'));
  writeFileSync(join(root, 'etc/hosts'), `127.0.0.1 localhost ${nodeName(number)}\n`);
  writeFileSync(join(root, 'etc/hostname'), `${nodeName(number)}\n`);
  writeFileSync(join(root, 'etc/resolv.conf'), '');
  writeFileSync(join(root, 'etc/machine-id'), `${String(number).padStart(32, '0')}\n`);
}

/** Also for a link that leads nowhere until the root directory is one. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A link into /usr as on this machine, or a directory for `rootScript` to mount it at. */
function sameAsHere(root: string, name: string): void {
  const here = lstatSync(`/${name}`, { throwIfNoEntry: false });
  if (here === undefined || isThere(join(root, name))) return;
  if (here.isSymbolicLink()) symlinkSync(readlinkSync(`/${name}`), join(root, name));
  else mkdirSync(join(root, name));
}

/**
 * The shell script of a node's first process: mounts what is not kept and makes `root` its root directory. It says
 * `ready` when that is done and then collects what others leave behind, until it is killed.
 */
export function rootScript(root: string, programs: string, hostname: string): string {
  const shared = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'].filter(
    name => lstatSync(`/${name}`, { throwIfNoEntry: false })?.isDirectory() === true,
  );
  return `
    hostname ${hostname}
    ip link set lo up
    cd '${root}'
    mount --bind . .
    cd '${root}'
    ${['usr', ...shared].map(name => readOnly(`/${name}`, name)).join('\n')}
    ${readOnly(programs, `.${PROGRAMS}`)}
    mount --rbind /dev dev
    # /sys as this network namespace sees it: kubelet counts the interfaces there. Recursive, or v1 loses its hierarchies.
    mount -t sysfs sysfs sys
    mount --rbind /sys/fs/cgroup sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir -p run/lock run/containerd run/netns
    pivot_root . tmp
    cd /
    mount -t proc proc proc
    umount -l tmp
    # What kubelet and containerd mount there is to reach each other, and pods that ask for mount propagation.
    mount --bind var/lib/kubelet var/lib/kubelet
    mount --make-rshared var/lib/kubelet
    mount --make-rshared run
    sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    echo ready
    while :; do sleep 1000000 & wait; done`;
}

function readOnly(from: string, to: string): string {
  return `mount --bind '${from}' '${to}' && mount -o remount,bind,ro '${to}'`;
}
