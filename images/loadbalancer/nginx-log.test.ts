import { pino } from 'pino';
import { logNginxLine } from './nginx-log.ts';

function logged(line: string): Record<string, unknown> {
  const written: string[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: text => void written.push(text) });
  logNginxLine(logger, line);
  return JSON.parse(written.join('')) as Record<string, unknown>;
}

describe("a line of nginx's error log", () => {
  it('becomes a line of the program, with its connection', () => {
    const line = '2026/11/25 14:05:50 [error] 7#7: *12 connect() failed (111: Connection refused) while connecting';
    expect(logged(line)).toEqual({
      level: 40,
      msg: 'nginx',
      connection: 12,
      said: 'connect() failed (111: Connection refused) while connecting',
    });
  });

  it.each([
    ['emerg', 50],
    ['crit', 50],
    ['warn', 40],
    ['notice', 30],
  ])('of level %s has level %d', (word, level) => {
    expect(logged(`2026/11/25 14:05:50 [${word}] 7#7: bind() failed`).level).toBe(level);
  });

  it('loses the signature of a presigned URL', () => {
    const line = '2026/11/25 14:05:50 [error] 7#7: *1 x, request: "GET /a?signature=c2VjcmV0&expires=1 HTTP/1.1"';
    expect(JSON.stringify(logged(line))).not.toContain('c2VjcmV0');
  });

  it('of another form is kept as it is', () => {
    expect(logged('nginx: [alert] could not open error log file')).toMatchObject({
      said: 'nginx: [alert] could not open error log file',
    });
  });
});
