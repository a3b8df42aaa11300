/**
 * A field for Matrix ids and what becomes of each. Organisations are asked side by side, so that one that does not answer
 * holds up nobody; what failed comes back into the field, to be corrected or tried again.
 */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  type ElementRef,
  inject,
  input,
  type OnInit,
  output,
  signal,
  viewChild,
} from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { MatButton } from '@angular/material/button';
import { MatFormField, MatLabel } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { Api } from '../core/api.ts';
import { Auth } from '../core/auth.ts';
import { Session } from '../session/session.ts';
import { Icon } from './icon.ts';
import { fromError, fromResult, type Invitation, serverPart, stateOf, unreadable } from './invitation.ts';
import { InviteResults } from './invite-results.ts';
import { parseMatrixIds } from './typed-ids.ts';

/** Organisations asked at the same time: a browser has six connections, and other requests need some, too. */
const SIDE_BY_SIDE = 4;

@Component({
  selector: 'ht-invite-people',
  imports: [MatButton, MatFormField, MatInput, MatLabel, Icon, InviteResults],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './invite-people.html',
  styleUrl: './dialog.scss',
})
export class InvitePeople implements OnInit {
  readonly #api = inject(Api);
  readonly #me = inject(Auth).userId;
  readonly roomId = input.required<string>();
  /** Invited at once. */
  readonly first = input<readonly string[]>([]);
  /** Every invitation has been sent and none needs a correction. */
  readonly allInvited = output();
  protected readonly field = viewChild<ElementRef<HTMLTextAreaElement>>('people');
  protected readonly text = signal('');
  protected readonly empty = signal(false);
  readonly #invitations = signal<ReadonlyMap<string, Invitation>>(new Map());
  protected readonly invitations = computed(() => [...this.#invitations().values()]);
  readonly #underWay = computed(() => this.invitations().some(({ outcome }) => outcome === 'sending'));
  protected readonly toCorrect = computed(
    () => !this.#underWay() && this.invitations().some((invitation) => stateOf(invitation) === 'bad'),
  );

  constructor() {
    inject(Session)
      .on('invitation.finished')
      .pipe(takeUntilDestroyed())
      .subscribe(({ roomId, ...result }) => {
        if (roomId === this.roomId() && this.#invitations().has(result.userId)) this.#note(fromResult(result));
      });
  }

  ngOnInit(): void {
    if (this.first().length > 0) void this.#inviteAll(this.first());
  }

  protected async invite(event: Event): Promise<void> {
    event.preventDefault();
    const { valid, invalid } = parseMatrixIds(this.text());
    this.empty.set(valid.length + invalid.length === 0);
    if (this.empty()) {
      this.field()?.nativeElement.focus();
      return;
    }
    // What failed before and was corrected stands in the list by its new id.
    this.#invitations.update((all) => new Map([...all].filter(([, invitation]) => stateOf(invitation) !== 'bad')));
    this.text.set('');
    for (const word of invalid) this.#note(unreadable(word));
    await this.#inviteAll(valid);
  }

  async #inviteAll(userIds: readonly string[]): Promise<void> {
    const me = this.#me();
    if (me !== undefined && userIds.includes(me)) {
      this.#note({ userId: me, outcome: 'self', organisation: serverPart(me) });
    }
    const asked = userIds.filter((userId) => userId !== me && this.#invitations().get(userId)?.outcome !== 'sending');
    for (const userId of asked) this.#note({ userId, outcome: 'sending', organisation: serverPart(userId) });
    const queue = [...Map.groupBy(asked, serverPart).values()];
    const work = async (): Promise<void> => {
      for (let group = queue.shift(); group; group = queue.shift()) await this.#inviteGroup(group);
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
    if (this.#underWay()) return;
    const failed = this.invitations().filter((invitation) => stateOf(invitation) === 'bad');
    if (failed.length === 0) this.allInvited.emit();
    // What somebody has begun to type meanwhile stays.
    this.text.update((typed) => {
      const { valid, invalid } = parseMatrixIds(typed);
      const missing = failed.map(({ userId }) => userId).filter((id) => !valid.includes(id) && !invalid.includes(id));
      return [typed, ...missing].filter((part) => part !== '').join('\n');
    });
  }

  async #inviteGroup(userIds: readonly string[]): Promise<void> {
    try {
      const { results } = await this.#api.invite(this.roomId(), [...userIds]);
      const answered = new Map(results.map((result) => [result.userId, fromResult(result)]));
      for (const userId of userIds) this.#note(answered.get(userId) ?? fromError(userId, undefined));
    } catch (error) {
      for (const userId of userIds) this.#note(fromError(userId, error));
    }
  }

  #note(invitation: Invitation): void {
    this.#invitations.update((all) => new Map(all).set(invitation.userId, invitation));
  }
}
