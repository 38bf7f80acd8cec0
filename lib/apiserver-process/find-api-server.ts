import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { kubernetesProgram } from '../go-program/cluster-programs.ts';
import { findGoProgram } from '../go-program/go-program.ts';

/**
 * The path of a kube-apiserver: the one in the directory `KUBEBUILDER_ASSETS`, as other projects' tests take it and by
 * which tests run against another version, else one built from Kubernetes' Go module as `lib/go-program` does, which takes
 * six minutes on two cores, once. Throws MantaError `GoProgramMissing`, which says what to do.
 */
export async function findApiServer(
  deps: { readonly logger: Logger },
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const given = join(env.KUBEBUILDER_ASSETS ?? '', 'kube-apiserver');
  if (env.KUBEBUILDER_ASSETS && existsSync(given)) return given;
  return (await findGoProgram(deps, kubernetesProgram('kube-apiserver'), { env }))['kube-apiserver'];
}
