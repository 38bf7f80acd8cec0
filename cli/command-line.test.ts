import { parseCommandLine } from './command-line.ts';
import { commands, commandsFor } from './commands.ts';
import { helpOf, usageOf } from './usage.ts';

const parse = (line: string) => parseCommandLine(line.split(' ').filter(Boolean), commands);

describe('a command line', () => {
  it.each([
    ['show', 'show'],
    ['-n manta show -s webapi', 'show'],
    ['--context=lab shard status 1', 'shard status'],
    ['shard history 1 -j', 'shard history'],
    ['cn -n -s us-east', 'cn'],
  ])('%p runs %s', (line, words) => {
    const found = parse(line);
    expect(found.kind === 'run' && found.command.words.join(' ')).toBe(words);
  });

  it('takes common options before and after the command', () => {
    for (const line of ['-n lab show', 'show -n lab', 'show --namespace lab', 'cn --namespace lab', '-n lab cn -n']) {
      expect(parse(line)).toMatchObject({ common: { namespace: 'lab' } });
    }
  });

  it.each([
    ['sho', 'there is no command "sho"'],
    ['shard', 'after "shard" comes one of: status, history, switchover'],
    ['shard stat 1', 'after "shard" comes one of'],
    ['shard history', 'shard history takes N'],
    ['show a b', 'show takes [PROGRAM]'],
    ['show --color', "Unknown option '--color'"],
    ['--color show', "Unknown option '--color'"],
    ['-n', "Option '-n, --namespace <value>' argument missing"],
  ])('%p is not understood: %s', (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });

  it('asks for help without a command, by --help, and of one command', () => {
    for (const line of ['', '--help', 'nothing -h']) expect(parse(line)).toEqual({ kind: 'help' });
    expect(parse('shard status --help')).toMatchObject({ kind: 'help', command: { words: ['shard', 'status'] } });
  });

  it('finds only show and cn when the program is called manta-adm', () => {
    const own = commandsFor('manta-adm');
    expect(parseCommandLine(['show'], own).kind).toBe('run');
    expect(() => parseCommandLine(['shard', 'status'], own)).toThrow('there is no command');
  });
});

describe('the help', () => {
  it('has every command, each with its role, its options, and the common ones', () => {
    const usage = usageOf('kubectl manta', commands);
    for (const command of commands) {
      expect(usage).toContain(command.help);
      const help = helpOf('kubectl manta', command);
      for (const part of [command.role, command.words.join(' '), '--namespace', ...Object.keys(command.options)]) {
        expect(help).toContain(part);
      }
    }
  });

  it('gives a short name that a command has taken to that command alone', () => {
    const cn = commands.find(({ words }) => words[0] === 'cn');
    if (cn === undefined) throw new Error('there is no cn');
    expect(helpOf('kubectl manta', cn)).toMatch(/-n, --names/);
    expect(helpOf('kubectl manta', cn)).toMatch(/ {4}--namespace/);
  });
});
