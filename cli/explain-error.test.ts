import { MantaError } from '../lib/errors/manta-error.ts';
import { ApiError } from '../lib/kubernetes/api-error.ts';
import { commands } from './commands.ts';
import { explainError } from './explain-error.ts';

const command = commands.find(({ words }) => words.join(' ') === 'shard switchover');
const explain = (error: unknown) => explainError(error, command, 'lab');

describe('what went wrong', () => {
  it('is told with the next command', () => {
    expect(explain(new MantaError('Any', 'it failed'))).toBe('it failed\n');
    expect(explain(new ApiError('Forbidden', 'no', { status: 403 }))).toContain(
      '-n lab create rolebinding NAME --role=manta-operate',
    );
    expect(explain(new ApiError('NotFound', 'no', { status: 404 }))).toContain('kubectl api-resources');
    expect(explain(new ApiError('Unreachable', 'no'))).toContain('Running regions go on without it');
  });

  it('is the system’s word for a file that is not there, and a crash for a fault of the program', () => {
    const missing = Object.assign(new Error('no such file, open kubeconfig'), { code: 'ENOENT' });
    expect(explain(missing)).toBe('no such file, open kubeconfig\n');
    expect(() => explain(new TypeError('undefined is not a function'))).toThrow('not a function');
  });
});
