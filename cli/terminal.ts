import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { MantaError } from '../lib/errors/manta-error.ts';
import type { CommandContext } from './command.ts';

/** Where people are asked. */
export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable & { readonly isTTY?: boolean };
}

/** The questions of commands that change something; with `isSilent` the answer is yes. */
export function createConfirm(
  { input, output }: Terminal,
  { isSilent, signal }: { readonly isSilent: boolean; readonly signal: AbortSignal },
): CommandContext['confirm'] {
  return async (plan, expected) => {
    output.write(`${plan}\n`);
    if (isSilent) return;
    if (input.isTTY !== true || output.isTTY !== true) {
      throw new MantaError('Usage', 'there is nobody to ask: repeat with -y if that is what you want');
    }
    const asking = createInterface({ input, output });
    try {
      const question = expected === undefined ? 'Go on? [y/N] ' : `Type ${expected} to go on: `;
      const answer = (await asking.question(question, { signal })).trim();
      const isMeant = expected === undefined ? /^y(es)?$/i.test(answer) : answer === expected;
      if (!isMeant) throw new MantaError('NotConfirmed', 'nothing was done');
    } finally {
      asking.close();
    }
  };
}
