import { pino } from 'pino';
import { stopOnSignals } from '../../lib/lifecycle/stop-on-signals.ts';
import { createTestOperator, type TestOperatorConfig } from './testing-operator.ts';

/** The test operator as a process: its configuration as JSON is the only argument. Logs go to standard output. */
const config = JSON.parse(process.argv[2] ?? '') as TestOperatorConfig;
const logger = pino({ name: config.identity });
const { manager } = await createTestOperator({ logger, exit: () => process.exit(1) }, config);
stopOnSignals({ logger }, manager.stop);
logger.info(await manager.start(), 'listening');
