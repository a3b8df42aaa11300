/** What the attacked process and the attacker tell each other by IPC. */

/** A homeserver with its SFU, or an SFU alone. */
export type TargetKind = 'homeserver' | 'sfu';

/** A path as Express has it, with the method that it takes. */
export interface Route {
  readonly method: string;
  readonly path: string;
}

/** Where the target can be reached. */
export interface Place {
  /** Control socket of the SFU. */
  readonly control: string;
  readonly sfu: { readonly address: string; readonly webRtcPort: number; readonly probePort: number };
  readonly homeserver?: {
    readonly serverName: string;
    /** Of the client API. */
    readonly url: string;
    readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
    /** All that it answers, at either port. */
    readonly routes: readonly Route[];
  };
}

/** Since the last `reset`; memory in MiB, times in ms. */
export interface Usage {
  /** Of the process. */
  readonly rss: number;
  readonly peakRss: number;
  /** What lives after a collection of garbage with empty caches: heap, and buffers beside it. */
  readonly live: number;
  /** The longest stall of the event loop, as `monitorEventLoopDelay` has it. */
  readonly longestStall: number;
  /** The longest without the time in which the process waited for a processor. */
  readonly longestOwnStall: number;
}

export type TargetMessage =
  | { readonly type: 'ready'; readonly place: Place }
  | { readonly type: 'usage'; readonly usage: Usage }
  /** Something that nobody has caught, or a line of the log at level `error` or above. */
  | { readonly type: 'exception' | 'rejection' | 'error'; readonly what: string }
  | { readonly type: 'stall'; readonly ms: number };

export type TargetOrder = 'usage' | 'reset' | 'end';
