/** The rules of the meeting as they are now, and changing them. */
import { computed, inject, Injectable } from '@angular/core';
import { NO_RULES, type RestrictionName, type Rules } from '../../../../../protocol/modules/rules.ts';
import type { NotificationData, Params } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { LOCAL_KINDS, LocalMedia } from '../../media/local-media.ts';
import { ScreenShare } from '../../media/screen-share.ts';

/** The restrictions of what one sends. */
const SENDING = ['microphone', 'camera', 'screen'] as const;
type Sending = (typeof SENDING)[number];

@Injectable({ providedIn: 'root' })
export class MeetingRules {
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #restrictions = inject(Restrictions);
  readonly #store = inject(ConferenceStore);
  readonly #told = inject(Told);
  readonly #local = inject(LocalMedia);
  readonly #screen = inject(ScreenShare);
  readonly all = this.#restrictions.rules.asReadonly();
  readonly locked = computed(() => this.all().lock.locked);

  load(rules: Rules | undefined): void {
    this.#restrictions.rules.set(rules ?? NO_RULES);
    // What was on in the lobby is off here, and the buttons say why.
    for (const kind of LOCAL_KINDS) {
      const reason = this.#restrictions.reason(kind);
      if (reason === undefined || !this.#local.source(kind)().on) continue;
      void this.#local.turn(kind, false);
      this.#told.tell(reason);
    }
  }

  /** Somebody who leads has changed a rule, perhaps this person. */
  changed(rules: Rules): void {
    const wasLocked = this.locked();
    const held = SENDING.filter((rule) => this.#restrictions.holds(rule));
    this.#restrictions.rules.set(rules);
    if (wasLocked !== rules.lock.locked) this.#announcements.plan('lock', () => this.#lockText());
    for (const rule of held) if (!this.#restrictions.holds(rule)) this.#told.tell(liftedText(rule));
  }

  /** A rule has ended what this person was sending: the buttons say so at once. */
  stopped({ source, by, organisation }: NotificationData<'rules.stopped'>): void {
    if (source === 'microphone' || source === 'camera') void this.#local.turn(source, false);
    else this.#screen.stop();
    // The sound of a screen goes with it.
    if (source === 'screen-audio') return;
    const shown = organisation === undefined ? '' : this.#store.organisation(organisation).displayName;
    this.#told.tell(stoppedText(source, by === undefined ? undefined : `${isolate(by)} (${isolate(shown)})`));
  }

  /** What holds then is told by `rules.changed`: two who lead may set the same rule at once. */
  async set(change: Params<'rules.set'>): Promise<void> {
    await this.#acting.ask('rules.set', change);
  }

  /** Restricts something to those who lead and those let through by name, or lifts that; who is named stays named. */
  async restrict(rule: RestrictionName, restricted: boolean): Promise<void> {
    await this.set({ rule, value: { ...this.all()[rule], restricted } });
  }

  /** Lets people through by name, or not any more. */
  async allow(rule: RestrictionName, userIds: readonly string[], allowed: boolean): Promise<void> {
    const { restricted, allow } = this.all()[rule];
    const others = allow.filter((userId) => !userIds.includes(userId));
    await this.set({ rule, value: { restricted, allow: allowed ? [...others, ...new Set(userIds)] : others } });
  }

  #lockText(): string {
    return this.locked()
      ? $localize`:@@rules.nowLocked:The meeting is locked: nobody but those who lead it enters.`
      : $localize`:@@rules.nowUnlocked:The meeting is open again.`;
  }
}

function stoppedText(rule: Sending, by: string | undefined): string {
  const name = by ?? $localize`:@@rules.somebodyWhoLeads:Somebody who leads the meeting`;
  switch (rule) {
    case 'microphone':
      return $localize`:@@rules.microphoneStopped:${name}:NAME: has restricted microphones: yours is off.`;
    case 'camera':
      return $localize`:@@rules.cameraStopped:${name}:NAME: has restricted cameras: yours is off.`;
    case 'screen':
      return $localize`:@@rules.screenStopped:${name}:NAME: has restricted the sharing of screens: you do not share any more.`;
  }
}

function liftedText(rule: Sending): string {
  switch (rule) {
    case 'microphone':
      return $localize`:@@rules.microphoneLifted:You may use your microphone again.`;
    case 'camera':
      return $localize`:@@rules.cameraLifted:You may use your camera again.`;
    case 'screen':
      return $localize`:@@rules.screenLifted:You may share your screen again.`;
  }
}
