import type { EventRecorder } from '../operator/runtime/event-recorder.ts';

/** Everything that controllers tell about objects: operations.md §3.7. */
export type EventReason =
  | 'ProgramStarted'
  | 'RolloutStarted'
  | 'RolloutHalted'
  | 'RolloutCompleted'
  | 'SlotMapCreated'
  | 'MemberReplaced'
  | 'LayoutWeak'
  | 'TakeoverCompleted'
  | 'SwitchoverCompleted'
  | 'ReadOnly'
  | 'ReadWrite'
  | 'PeerDeposed'
  | 'PeerRebuilt'
  | 'PeerReplaced'
  | 'RequestRefused'
  | 'Frozen'
  | 'Unfrozen'
  | 'VolumeResized'
  | 'Joined'
  | 'Offline'
  | 'ModeChanged'
  | 'DeletionBlocked';

/** Where controllers tell them. */
export type Events = EventRecorder<EventReason>;
