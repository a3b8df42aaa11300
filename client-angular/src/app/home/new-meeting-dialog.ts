/** A new meeting: a title is enough. The meeting is made once; who could not be invited can be corrected and tried again. */
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  computed,
  type ElementRef,
  inject,
  Injector,
  LOCALE_ID,
  signal,
  viewChild,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatDatepicker, MatDatepickerInput, MatDatepickerToggle } from '@angular/material/datepicker';
import { MatDialogActions, MatDialogContent, MatDialogRef, MatDialogTitle } from '@angular/material/dialog';
import { MatFormField, MatHint, MatLabel, MatSuffix } from '@angular/material/form-field';
import { MatInput } from '@angular/material/input';
import { MatTimepicker, MatTimepickerInput, MatTimepickerToggle } from '@angular/material/timepicker';
import { displayTitle } from '../../../../protocol/display-text.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { unreadable } from '../shared/invitation.ts';
import { InvitePeople } from '../shared/invite-people.ts';
import { InviteResults } from '../shared/invite-results.ts';
import { Notice } from '../shared/notice.ts';
import { parseMatrixIds } from '../shared/typed-ids.ts';
import { formatWhen } from '../shared/when.ts';
import { provideLocalDates } from './local-date-adapter.ts';
import { readStart, startProblemText } from './planned-start.ts';

const DAY_MS = 24 * 3_600_000;

@Component({
  selector: 'ht-new-meeting-dialog',
  imports: [
    MatButton,
    MatDatepicker,
    MatDatepickerInput,
    MatDatepickerToggle,
    MatDialogActions,
    MatDialogContent,
    MatDialogTitle,
    MatFormField,
    MatHint,
    MatInput,
    MatLabel,
    MatSuffix,
    MatTimepicker,
    MatTimepickerInput,
    MatTimepickerToggle,
    InvitePeople,
    InviteResults,
    Notice,
  ],
  providers: [provideLocalDates()],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './new-meeting-dialog.html',
  styleUrl: '../shared/dialog.scss',
})
export class NewMeetingDialog {
  readonly #api = inject(Api);
  readonly #names = inject(OrganisationNames);
  readonly #locale = inject(LOCALE_ID);
  readonly #injector = inject(Injector);
  protected readonly dialog = inject<MatDialogRef<NewMeetingDialog, string>>(MatDialogRef);
  protected readonly titleField = viewChild<ElementRef<HTMLInputElement>>('name');
  protected readonly dateField = viewChild<ElementRef<HTMLInputElement>>('date');
  protected readonly timeField = viewChild<ElementRef<HTMLInputElement>>('time');
  protected readonly peopleField = viewChild<ElementRef<HTMLTextAreaElement>>('people');
  protected readonly doneButton = viewChild('done', { read: MatButton });
  protected readonly today = new Date();
  protected readonly title = signal('');
  /** As they stand in the fields. */
  protected readonly date = signal('');
  protected readonly time = signal('');
  protected readonly invite = signal('');
  protected readonly ids = computed(() => parseMatrixIds(this.invite()));
  protected readonly unreadable = computed(() => this.ids().invalid.map(unreadable));
  protected readonly start = computed(() => readStart(this.date(), this.time(), this.#locale, Date.now()));
  /** The start as it was understood. */
  protected readonly understood = computed(() => {
    const start = this.start();
    return start.kind === 'at' ? formatWhen(start.at, undefined, this.#locale, Date.now()) : undefined;
  });
  protected readonly startProblem = computed(() => {
    const start = this.start();
    if (start.kind !== 'problem') return undefined;
    return startProblemText(start.problem, this.#example);
  });
  /** Nothing that could be seen is in the title. */
  protected readonly titleMissing = computed(() => displayTitle(this.title()) === undefined);
  protected readonly tried = signal(false);
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);
  /** The meeting that was made, shown instead of the form while people are being invited. */
  protected readonly made = signal<{ roomId: string; invite: readonly string[] } | undefined>(undefined);
  /** Tomorrow, as one writes it. */
  readonly #example = new Intl.DateTimeFormat(this.#locale, {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).format(Date.now() + DAY_MS);

  protected async create(event: Event): Promise<void> {
    event.preventDefault();
    this.tried.set(true);
    const title = this.title().trim();
    const start = this.start();
    const { valid, invalid } = this.ids();
    if (this.titleMissing()) this.titleField()?.nativeElement.focus();
    else if (start.kind === 'problem') this.#focusStart(start.problem.startsWith('time'));
    else if (invalid.length > 0) this.peopleField()?.nativeElement.focus();
    if (this.titleMissing() || start.kind === 'problem' || invalid.length > 0 || this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const { roomId } = await this.#api.createMeeting({
        title,
        ...(start.kind === 'at' ? { startsAt: start.at, timeZone } : {}),
      });
      if (valid.length === 0) {
        this.dialog.close(roomId);
        return;
      }
      this.made.set({ roomId, invite: valid });
      // The button that was pressed is gone.
      afterNextRender({ read: () => this.doneButton()?.focus() }, { injector: this.#injector });
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
    } finally {
      this.busy.set(false);
    }
  }

  #focusStart(atTime: boolean): void {
    (atTime ? this.timeField() : this.dateField())?.nativeElement.focus();
  }
}
