/** Whether sound and pictures get through between this computer and the own organisation's SFU. */
import { signal } from '@angular/core';

/** So long nothing may get through before the person is told, in ms. */
export const BLOCKED_MS = 7_000;

/**
 * - `no-route`: nothing ever got through from here, which usually is a firewall
 * - `loopback`: the SFU is on this computer at a loopback address, which not every browser uses for media
 * - `lost`: it got through before
 */
export type BlockedCause = 'no-route' | 'loopback' | 'lost';

/** Times are Unix ms. */
export type MediaLineState =
  /** In no meeting, or the transports are being made. */
  | { readonly kind: 'closed' }
  /** The transports are there; there is nothing to send or to receive yet. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly since: number }
  | { readonly kind: 'connected' }
  /** Got through, and does not at the moment: mostly for seconds only. */
  | { readonly kind: 'interrupted'; readonly since: number }
  /** Does not get through for so long that the person should know. */
  | { readonly kind: 'blocked'; readonly since: number; readonly cause: BlockedCause };

/** What a transport is at, in the words of `RTCPeerConnection.connectionState`; `new` until it has something to carry. */
export type TransportProgress = RTCPeerConnectionState;

/** Derives the line's state from what the transports report, and from the time that passes. */
export class MediaLine {
  readonly #state = signal<MediaLineState>({ kind: 'closed' });
  readonly state = this.#state.asReadonly();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Something got through since the meeting began. */
  #everConnected = false;
  #loopback = false;

  /**
   * New transports are being made. After a line that worked this is a new beginning; after one that did not it is
   * one more attempt of the same failure.
   * @param remoteAddresses where the SFU is, as in its ICE candidates
   * @param usesLoopback whether this browser connects media to loopback addresses
   */
  opened(remoteAddresses: readonly string[], usesLoopback: boolean): void {
    this.#loopback = !usesLoopback && remoteAddresses.length > 0 && remoteAddresses.every(isLoopback);
    const { kind } = this.#state();
    if (kind === 'closed' || kind === 'connected') this.#set({ kind: 'idle' });
  }

  /** The transports are given up because the server makes new ones: what the line was says nothing any more. */
  restarting(): void {
    if (this.#state().kind !== 'blocked') this.#set({ kind: 'closed' });
  }

  /** The meeting is over. */
  closed(): void {
    this.#everConnected = false;
    this.#set({ kind: 'closed' });
  }

  /** @param transports all that the meeting has at the moment */
  report(transports: readonly TransportProgress[], now = Date.now()): void {
    const begun = transports.filter((progress) => progress !== 'new' && progress !== 'closed');
    const state = this.#state();
    if (begun.length === 0) return;
    if (begun.every((progress) => progress === 'connected')) {
      this.#everConnected = true;
      this.#set({ kind: 'connected' });
      return;
    }
    // Seconds count from the first failure on; what is blocked stays blocked until it is connected.
    const since = 'since' in state ? state.since : now;
    const hopeless = !this.#everConnected && begun.includes('failed');
    if (state.kind === 'blocked' || hopeless || now - since >= BLOCKED_MS) this.#block(since);
    else {
      this.#set({ kind: this.#everConnected ? 'interrupted' : 'connecting', since });
      this.#timer = setTimeout(() => this.#block(since), since + BLOCKED_MS - now);
    }
  }

  #block(since: number): void {
    const state = this.#state();
    if (state.kind === 'blocked' && state.since === since) return;
    this.#set({ kind: 'blocked', since, cause: this.#cause() });
  }

  #cause(): BlockedCause {
    if (this.#everConnected) return 'lost';
    return this.#loopback ? 'loopback' : 'no-route';
  }

  #set(state: MediaLineState): void {
    clearTimeout(this.#timer);
    this.#state.set(state);
  }
}

/** Whether an ICE candidate's address is on this computer. @see https://www.rfc-editor.org/rfc/rfc6890#section-2.2 */
export function isLoopback(address: string): boolean {
  return address === '::1' || address === 'localhost' || /^127(\.\d{1,3}){3}$/.test(address);
}

/** What the person is told, and what to do about it. */
export function blockedText(cause: BlockedCause): string {
  switch (cause) {
    case 'no-route':
      return $localize`:@@media.blocked:Sound and pictures do not get through from this computer. A firewall or a guest network may be in the way: try another network, or ask your help desk to open the way to your organisation’s media server. The chat still works.`;
    case 'lost':
      return $localize`:@@media.lost:Sound and pictures do not get through from this computer any more. Check the network, or change to another one; they come back by themselves. The chat still works.`;
    case 'loopback':
      return $localize`:@@media.loopback:Sound and pictures do not get through: the media server runs on this computer, and this browser, like Firefox, connects to other addresses only. Use Chromium or Chrome here, or start the demonstration by “npm start -- --lan”.`;
  }
}
