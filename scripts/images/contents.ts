import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';

/** A file that goes into an image, as a path below the repository's root. */
export type ContextFile = string;

/** What an image is built from. */
export interface ImageSource {
  readonly name: string;
  /** Path of its Dockerfile below the repository's root. */
  readonly dockerfile: string;
}

/** The images of the programs, by the places of their Dockerfiles. */
export function findImages(root: string): readonly ImageSource[] {
  const places = ['operator', ...readdirSync(join(root, 'images')).map(name => join('images', name))];
  return places
    .map(place => ({ name: basename(place), dockerfile: join(place, 'Dockerfile') }))
    .filter(({ dockerfile }) => isThere(join(root, dockerfile)));
}

/**
 * The files that a Dockerfile copies from its context, sorted: those that its COPY lines name, but for what .dockerignore
 * takes out. Of .dockerignore only lines are understood that name a path, or any path that ends in a name (`**` and `*`).
 */
export function contextOf(root: string, { dockerfile }: ImageSource): readonly ContextFile[] {
  const sources = copiedPaths(readFileSync(join(root, dockerfile), 'utf8'));
  const isIgnored = ignoreRule(readFileSync(join(root, '.dockerignore'), 'utf8'));
  const files = sources.flatMap(source => filesBelow(root, source)).filter(file => !isIgnored(file));
  return [...new Set([dockerfile, ...files])].sort();
}

/** Of what an image is made of, and what it is called: sixteen hexadecimal digits. */
export function hashOf(root: string, files: readonly ContextFile[], reference: string): string {
  const hash = createHash('sha256').update(reference);
  for (const file of files) {
    const path = join(root, file);
    const content = readFileSync(path);
    hash.update(`\0${file}\0${statSync(path).mode & 0o111}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Copies the files into a directory of their own: what is built is what was hashed. */
export function stage(root: string, files: readonly ContextFile[], directory: string): void {
  for (const file of files) {
    mkdirSync(join(directory, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(directory, file), { preserveTimestamps: true });
  }
}

/** Paths of the COPY lines, other stages' apart. */
export function copiedPaths(dockerfile: string): readonly string[] {
  return [...dockerfile.matchAll(/^COPY +(.+)$/gm)]
    .map(([, rest = '']) => rest.trim().split(/ +/))
    .filter(([first]) => !first?.startsWith('--from='))
    .flatMap(words => words.filter(word => !word.startsWith('--')).slice(0, -1));
}

/** True for the paths that the lines of a .dockerignore take out again of what is named. */
export function ignoreRule(text: string): (path: string) => boolean {
  const lines = text.split('\n').map(line => line.trim());
  const patterns = lines.filter(line => line !== '' && line !== '*' && !/^[#!]/.test(line)).map(patternOf);
  return path => patterns.some(pattern => pattern.test(path));
}

function patternOf(line: string): RegExp {
  const body = line.replace(/^\*\*\//, '').replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  const start = line.startsWith('**/') ? '(^|/)' : '^';
  return new RegExp(`${start}${body.replaceAll('*', '[^/]*')}(/|$)`);
}

function filesBelow(root: string, path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(root.length + sep.length));
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
