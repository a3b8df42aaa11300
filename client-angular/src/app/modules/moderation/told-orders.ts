/** What those who lead have done to others, said to those who do not see it; a row of orders in few words. */
import { inject } from '@angular/core';
import type { NotificationData } from '../../../../../protocol/session.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Announcements } from '../../core/announcements.ts';
import { isolate } from '../../core/isolate.ts';

type ToldOrder = NotificationData<'moderation.told'>;

/** More orders than this, given within a few seconds, are counted. */
const MOST_SAID = 3;

/** Made by the module. */
export class ToldOrders {
  readonly #store = inject(ConferenceStore);
  readonly #announcements = inject(Announcements);
  #orders: ToldOrder[] = [];

  told(order: ToldOrder): void {
    this.#orders.push(order);
    this.#announcements.plan('moderation', () => this.#text());
  }

  forget(): void {
    this.#orders = [];
  }

  #text(): string {
    const orders = this.#orders;
    this.#orders = [];
    if (orders.length > MOST_SAID) {
      const count = orders.reduce((sum, order) => sum + order.count, 0);
      return $localize`:@@told.many:Those who lead the meeting have done ${orders.length}:ORDERS: things about ${count}:COUNT: people.`;
    }
    return orders.map((order) => this.#sentence(order)).join(' ');
  }

  #sentence(order: ToldOrder): string {
    const by = `${isolate(order.by)} (${isolate(this.#store.organisation(order.organisation).displayName)})`;
    const whom = namesOf(order);
    switch (order.action) {
      case 'mute':
        return $localize`:@@told.mute:${by}:BY: has muted ${whom}:WHOM:.`;
      case 'camera-off':
        return $localize`:@@told.cameraOff:${by}:BY: has turned off the camera of ${whom}:WHOM:.`;
      case 'stop-share':
        return $localize`:@@told.stopShare:${by}:BY: has ended the screen share of ${whom}:WHOM:.`;
      case 'ask-unmute':
        return $localize`:@@told.askUnmute:${by}:BY: has asked ${whom}:WHOM: to turn on the microphone.`;
      case 'lower-hand':
        return $localize`:@@told.lowerHand:${by}:BY: has lowered the hand of ${whom}:WHOM:.`;
      case 'rename':
        return $localize`:@@told.rename:${by}:BY: has given ${whom}:WHOM: the name ${isolate(order.displayName ?? '')}:NAME:.`;
      case 'wait':
        return $localize`:@@told.wait:${by}:BY: has sent ${whom}:WHOM: to the waiting room.`;
      case 'remove':
        return $localize`:@@told.remove:${by}:BY: has removed ${whom}:WHOM: from the meeting.`;
      case 'ban':
        return $localize`:@@told.ban:${by}:BY: has banned ${whom}:WHOM: from the meeting.`;
      case 'end':
        return $localize`:@@told.end:${by}:BY: has ended the meeting for ${whom}:WHOM:.`;
      case 'make-owner':
        return $localize`:@@told.makeOwner:${by}:BY: has made ${whom}:WHOM: an owner.`;
      case 'make-moderator':
        return $localize`:@@told.makeModerator:${by}:BY: has made ${whom}:WHOM: a moderator.`;
      case 'make-participant':
        return $localize`:@@told.makeParticipant:${by}:BY: has taken the role of ${whom}:WHOM: back.`;
    }
  }
}

function namesOf({ whom, count }: ToldOrder): string {
  if (whom.length === 0) return $localize`:@@told.people:${count}:COUNT: people`;
  const names = whom.map(isolate).join(', ');
  const others = count - whom.length;
  return others > 0 ? $localize`:@@told.andMore:${names}:NAMES: and ${others}:COUNT: more` : names;
}
