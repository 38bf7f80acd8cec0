import type { Logger } from 'pino';
import { createDetector, type Detector } from './detector.ts';
import { createHearsay } from './hearsay.ts';
import { createHeartbeatReceiver, type HeartbeatReceiver } from './heartbeat-receiver.ts';
import { createHeartbeatSender, type HeartbeatSender } from './heartbeat-sender.ts';
import { answerOf, heartbeatOf, type Identity } from './lines.ts';
import { askPeer } from './peer-call.ts';
import { createProber } from './prober.ts';
import type { Snapshot } from './snapshot.ts';
import { derivedTimes, type Times } from './times.ts';

/** All that a sitter notices of its peers with (replication.md §4.4). */
export interface Senses {
  readonly detector: Detector;
  readonly receiver: HeartbeatReceiver;
  readonly sender: HeartbeatSender;
  close(): void;
}

/** `last`: the newest snapshot, of which lines and answers speak. `onChange` is called when there is something to judge. */
export function createSenses(
  deps: {
    readonly logger: Logger;
    readonly now: () => number;
    readonly identity: () => Identity;
    readonly last: () => Snapshot | undefined;
  },
  { shard, id, times }: { readonly shard: number; readonly id: string; readonly times: Times },
  onChange: () => void,
): Senses {
  const { logger, now, identity, last } = deps;
  const { heartbeatMs, probeEveryMs, probeDeadlineMs } = times;
  const { silenceMs } = derivedTimes(times);
  let n = 0;
  const line = () => {
    n += 1;
    return heartbeatOf(identity(), last(), n, now());
  };
  const receiver = createHeartbeatReceiver(
    { logger, now, answer: heard => answerOf(identity(), last(), heard.n) },
    { shard, idleMs: 3 * silenceMs },
    onChange,
  );
  const sender = createHeartbeatSender({ logger, now, line }, { shard, heartbeatMs, silenceMs }, onChange);
  const prober = createProber(
    { ask: askPeer },
    { shard, everyMs: probeEveryMs, slowlyMs: heartbeatMs, deadlineMs: probeDeadlineMs },
    onChange,
  );
  const hearsay = createHearsay(
    { now, ask: askPeer },
    { shard, everyMs: heartbeatMs, deadlineMs: probeDeadlineMs },
    onChange,
  );
  return {
    detector: createDetector({ receiver, sender, prober, hearsay }, id, times),
    receiver,
    sender,
    close() {
      for (const part of [sender, receiver, prober, hearsay]) part.close();
    },
  };
}
