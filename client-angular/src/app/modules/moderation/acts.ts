/** What those who lead do about others: asks before what cannot be undone, gives the order, and says what came of it. */
import { inject } from '@angular/core';
import type { EndFor, GivenRole } from '../../../../../protocol/modules/moderation.ts';
import type { Participant } from '../../../../../protocol/session.ts';
import { Acting } from '../../conference/acting.ts';
import { Orders } from '../../conference/orders.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { type Question, questionConfig } from '../../shared/question-dialog.ts';
import * as texts from './order-texts.ts';
import * as questions from './questions.ts';
import type { RenameDialogData } from './rename-dialog.ts';

/** Made by the module, whose dialogs are those of the meeting. */
export class Acts {
  readonly #store = inject(ConferenceStore);
  readonly #rights = inject(Rights);
  readonly #acting = inject(Acting);
  readonly #orders = inject(Orders);
  readonly #announcements = inject(Announcements);
  readonly #dialogs = inject(OwnDialogs);

  async mute(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.mute', people, texts.MUTE);
  }

  async cameraOff(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.camera-off', people, texts.CAMERA_OFF);
  }

  async stopShare(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.stop-share', people, texts.STOP_SHARE);
  }

  async askUnmute(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.ask-unmute', people, texts.ASK_UNMUTE);
  }

  /** They are admitted again with one click: no question. */
  async sendToWaiting(people: readonly Participant[]): Promise<void> {
    await this.#orders.give('moderation.send-to-waiting', people, texts.WAIT);
  }

  async remove(people: readonly Participant[]): Promise<void> {
    if (!(await this.#sure(questions.remove(this.#named(people))))) return;
    await this.#orders.give('moderation.remove', people, texts.REMOVE);
  }

  async ban(people: readonly Participant[]): Promise<void> {
    if (!(await this.#sure(questions.ban(this.#named(people))))) return;
    await this.#orders.give('moderation.ban', people, texts.BAN);
  }

  async rename({ participantId, displayName: old }: Participant): Promise<void> {
    const data: RenameDialogData = { name: old };
    const displayName = await this.#dialogs.ask<string>(async () => (await import('./rename-dialog.ts')).RenameDialog, {
      width: '440px',
      maxWidth: '96vw',
      autoFocus: 'first-tabbable',
      data,
    });
    if (displayName === undefined || displayName === old) return;
    const outcome = await this.#acting.ask('moderation.rename', { participantId, displayName });
    if (outcome) this.#orders.say(outcome, texts.renamed(isolate(old), isolate(displayName)), texts.renameUnreached);
  }

  /** Asks before, where the person could not take it back. */
  async setRole({ userId, displayName }: Participant, role: GivenRole): Promise<void> {
    const name = isolate(displayName);
    if (role === 'owner' && !(await this.#sure(questions.makeOwner(name)))) return;
    const final = role === 'moderator' && this.#rights.role() !== 'owner';
    if (final && !(await this.#sure(questions.makeModerator(name)))) return;
    if (await this.#acting.ask('roles.set', { userId, role })) this.#announcements.now(texts.hasRole(name, role));
  }

  async end(whom: EndFor): Promise<void> {
    if (!(await this.#sure(questions.end(whom)))) return;
    const outcome = await this.#acting.ask('moderation.end', { for: whom });
    if (outcome) this.#orders.say(outcome, texts.ended(whom), texts.endUnreached);
  }

  /** What a dialog asks about is over. */
  left(): void {
    this.#dialogs.close();
  }

  async #sure(question: Question): Promise<boolean> {
    const load = async () => (await import('../../shared/question-dialog.ts')).QuestionDialog;
    return (await this.#dialogs.ask<boolean>(load, questionConfig(question))) === true;
  }

  #named(people: readonly Participant[]): questions.Named[] {
    return people.map(({ displayName, organisation }) => ({
      name: displayName,
      organisation: this.#store.organisation(organisation).displayName,
    }));
  }
}
