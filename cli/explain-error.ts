import { codeOf, MantaError } from '../lib/errors/manta-error.ts';
import { ApiError } from '../lib/kubernetes/api-error.ts';
import type { Command } from './command.ts';
import { oneLine } from './table.ts';

/** What went wrong and what to do next, a line each. Rethrows what is no failure of the world but of this program. */
export function explainError(error: unknown, command: Command | undefined, namespace: string | undefined): string {
  // A file that cannot be read is the system's word.
  if (!(error instanceof MantaError) && codeOf(error) === undefined) throw error;
  return [(error as Error).message, adviceOn(error, command, namespace)]
    .flatMap(line => (line === undefined ? [] : `${oneLine(line)}\n`))
    .join('');
}

function adviceOn(error: unknown, command: Command | undefined, namespace: string | undefined): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  if (error.reason === 'Forbidden' && command?.role === 'admin of the namespace')
    return `${command.words.join(' ')} is for those who may read the Secrets of namespace ${namespace}`;
  if (error.reason === 'Forbidden' && command !== undefined && namespace !== undefined)
    return `${command.words.join(' ')} takes role ${command.role}: kubectl -n ${namespace} create rolebinding NAME --role=${command.role} --user=USER`;
  if (error.reason === 'NotFound')
    return 'is Manta installed in this cluster? kubectl api-resources --api-group=manta.io';
  if (error.reason === 'Unauthorized') return 'the credentials of the kubeconfig are not accepted: kubectl auth whoami';
  if (error.reason === 'Unreachable' || error.reason === 'Deadline')
    return 'the API server does not answer: kubectl cluster-info. Running regions go on without it';
  return undefined;
}
