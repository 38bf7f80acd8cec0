import { MantaError } from '../lib/errors/manta-error.ts';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import { locateKubernetes } from '../lib/kubernetes/location.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { runCli } from './run.ts';

// The launcher changes the directory; names of files are meant from where the user is.
process.chdir(process.env.INIT_CWD ?? '.');

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await runCli(process.argv.slice(2), {
  calledAs: process.env.MANTA_CALLED_AS ?? 'kubectl-manta',
  connect(context) {
    const location = locateKubernetes(process.env);
    if (context === undefined) return connectKubernetes({ clock: systemClock }, { location });
    if (location.kind === 'in-cluster')
      throw new MantaError('KubernetesMissing', '--context needs a kubeconfig, and there is none: set KUBECONFIG');
    return connectKubernetes({ clock: systemClock }, { location: { ...location, context } });
  },
  print: text => void process.stdout.write(text),
  terminal: { input: process.stdin, output: process.stderr },
  clock: systemClock,
  random: Math.random,
  signal: stop.signal,
});
