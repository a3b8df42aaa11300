/** What somebody who leads the meeting has done to this person, in words. */
import { inject } from '@angular/core';
import type { NotificationData } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { isolate } from '../../core/isolate.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { ScreenShare } from '../../media/screen-share.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { questionConfig } from '../../shared/question-dialog.ts';

/** Made by the module, whose dialogs are those of the meeting. */
export class ModerationNotices {
  readonly #store = inject(ConferenceStore);
  readonly #told = inject(Told);
  readonly #local = inject(LocalMedia);
  readonly #screen = inject(ScreenShare);
  readonly #dialogs = inject(OwnDialogs);

  /** Somebody has done something to this person: the buttons say so at once, and can be pressed again. */
  done({ action, by, organisation, displayName }: NotificationData<'moderation.done'>): void {
    const name = this.#name(by, organisation);
    switch (action) {
      case 'mute':
        if (!this.#local.microphone().on) return;
        void this.#local.turn('microphone', false);
        this.#told.tell(
          $localize`:@@moderation.mutedBy:${name}:NAME: has muted you. You can turn your microphone on again.`,
        );
        return;
      case 'camera-off':
        if (!this.#local.camera().on) return;
        void this.#local.turn('camera', false);
        this.#told.tell(
          $localize`:@@moderation.cameraOffBy:${name}:NAME: has switched off your camera. You can turn it on again.`,
        );
        return;
      case 'stop-share':
        this.#screen.stop();
        this.#told.tell(
          $localize`:@@moderation.stopShareBy:${name}:NAME: has ended what you shared. You can share again.`,
        );
        return;
      case 'ask-unmute':
        void this.#ask(name);
        return;
      case 'rename':
        this.#told.tell(
          $localize`:@@moderation.renamedBy:${name}:NAME: has changed your name: you are ${isolate(displayName ?? '')}:NEW_NAME: here now.`,
        );
        return;
      case 'make-owner':
        this.#told.tell($localize`:@@moderation.madeOwner:${name}:NAME: has made you an owner of this meeting.`);
        return;
      case 'make-moderator':
        this.#told.tell(
          $localize`:@@moderation.madeModerator:${name}:NAME: has made you a moderator: you lead this meeting as well.`,
        );
        return;
      case 'make-participant':
        this.#told.tell(
          $localize`:@@moderation.madeParticipant:${name}:NAME: has ended your role: you take part without leading the meeting.`,
        );
        return;
      default:
      // The end of a place in the meeting has a page of its own.
    }
  }

  /** The time of the meeting is over soon. */
  timeLimit({ minutes }: NotificationData<'moderation.time-limit'>): void {
    this.#told.tell(
      minutes === 1
        ? $localize`:@@moderation.timeLimitOne:The meeting ends in one minute, for everybody. Whoever leads it can extend it.`
        : $localize`:@@moderation.timeLimitMany:The meeting ends in ${minutes}:COUNT: minutes, for everybody. Whoever leads it can extend it.`,
    );
  }

  /** A question: nothing is turned on unless the person says so. */
  async #ask(name: string): Promise<void> {
    if (this.#local.microphone().on) return;
    const question = {
      name: 'unmute',
      title: $localize`:@@askUnmute.title:Turn on your microphone?`,
      text: $localize`:@@askUnmute.text:${name}:NAME: asks you to turn on your microphone. Nobody hears you before you do.`,
      yes: $localize`:@@askUnmute.yes:Turn on`,
      no: $localize`:@@askUnmute.no:Stay muted`,
    };
    const load = async () => (await import('../../shared/question-dialog.ts')).QuestionDialog;
    const yes = await this.#dialogs.ask<boolean>(load, questionConfig(question));
    if (yes && !this.#local.microphone().on) await this.#local.turn('microphone', true);
  }

  #name(by: string, organisation: string): string {
    return `${isolate(by)} (${isolate(this.#store.organisation(organisation).displayName)})`;
  }
}
