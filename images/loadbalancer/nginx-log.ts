import type { Logger } from 'pino';

/** Time, level, process and thread that nginx puts before each message of its error log. */
const PREFIX = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: (?:\*(\d+) )?(.*)$/;

/** A line of nginx's error log as a line of this program's. The signature of a presigned URL is a credential: it is cut. */
export function logNginxLine(logger: Logger, line: string): void {
  const [, level = 'error', connection, text = line] = PREFIX.exec(line) ?? [];
  const said = text.replace(/([?&]signature=)[^&\s"]*/g, '$1…');
  const facts = connection === undefined ? { said } : { said, connection: Number(connection) };
  if (level === 'emerg' || level === 'alert' || level === 'crit') logger.error(facts, 'nginx');
  else if (level === 'error' || level === 'warn') logger.warn(facts, 'nginx');
  else logger.info(facts, 'nginx');
}
