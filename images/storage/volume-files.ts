import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';

/** The file system calls on which durability rests: a narrow interface, so that a test can stop between any two. */
export interface VolumeFiles {
  /** Creates a file that must not exist yet. */
  create(path: string): Promise<FileHandle>;
  /** Resolves when the file's bytes survive a power cut. */
  syncFile(file: FileHandle): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Succeeds when the directory exists already. */
  makeDirectory(path: string): Promise<void>;
  /** Resolves when the directory's entries survive a power cut. */
  syncDirectory(path: string): Promise<void>;
}

export const systemFiles: VolumeFiles = {
  create: path => open(path, 'wx', 0o644),
  syncFile: file => file.sync(),
  rename,
  async makeDirectory(path) {
    await mkdir(path).catch(error => {
      if (error.code !== 'EEXIST') throw error;
    });
  },
  async syncDirectory(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
