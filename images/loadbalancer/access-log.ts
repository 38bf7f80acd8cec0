import { execFile } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A line that says so much has been put together by two writers. */
const MAX_LINE_LENGTH = 16_384;

/** What reads the access log. */
export interface AccessLog {
  close(): Promise<void>;
}

/**
 * Makes the named pipe that nginx writes its access log to, and calls `record` with the status and the text of each line.
 * A pipe because nothing is lost in it, and nothing has to be rotated; nginx waits when it is full, as it would for the
 * standard output of a container.
 */
export async function readAccessLog(path: string, record: (status: number, line: string) => void): Promise<AccessLog> {
  await rm(path, { force: true });
  await run('mkfifo', ['-m', '600', path]);
  // Open for writing as well, so that it does not end when nginx leaves it.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  createInterface({ input: socket }).on('line', line => {
    const [, status] = /"status":(\d{3}),/.exec(line) ?? [];
    if (status !== undefined && line.length <= MAX_LINE_LENGTH) record(Number(status), line);
  });
  return {
    async close() {
      socket.destroy();
      await rm(path, { force: true });
    },
  };
}
