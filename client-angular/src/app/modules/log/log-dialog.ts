/** The log of the meeting, in words, the newest first; older entries on demand. */
import { ChangeDetectionStrategy, Component, inject, LOCALE_ID, signal } from '@angular/core';
import { MatButton } from '@angular/material/button';
import { MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle } from '@angular/material/dialog';
import type { LogEntry } from '../../../../../protocol/meeting-log.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Api } from '../../core/api.ts';
import { errorText } from '../../core/error-text.ts';
import { Notice } from '../../shared/notice.ts';
import { logText } from './log-text.ts';

@Component({
  selector: 'ht-log-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title i18n="@@log.title">Log of the meeting</h2>
    <mat-dialog-content data-testid="log" tabindex="0">
      @if (failure(); as failure) {
        <ht-notice>{{ failure }}</ht-notice>
        <button matButton="outlined" type="button" (click)="load()" i18n="@@home.again">Try again</button>
      }
      <ol>
        @for (entry of entries(); track entry.id) {
          <li [class.gap]="entry.kind === 'gap'" [attr.data-kind]="entry.kind" data-testid="log-entry">
            <time [attr.datetime]="iso(entry.at)">{{ time(entry.at) }}</time>
            <span>{{ text(entry) }}</span>
          </li>
        } @empty {
          @if (!failure()) {
            <li i18n="@@log.empty">Nothing yet.</li>
          }
        }
      </ol>
      @if (next() !== undefined) {
        <button matButton="outlined" type="button" data-testid="log-older" (click)="load(next())" i18n="@@log.older">
          Older entries
        </button>
      }
      <p class="soft" i18n="@@log.explained">
        Your organisation keeps this log for a time that it sets. Other organisations keep their own.
      </p>
    </mat-dialog-content>
    <mat-dialog-actions>
      <button matButton="outlined" type="button" (click)="load()" i18n="@@log.refresh">Refresh</button>
      <button matButton="filled" type="button" mat-dialog-close i18n="@@security.close">Close</button>
    </mat-dialog-actions>`,
  styleUrls: ['../../shared/dialog.scss', './log-dialog.scss'],
})
export class LogDialog {
  readonly #api = inject(Api);
  readonly #store = inject(ConferenceStore);
  readonly #time = new Intl.DateTimeFormat(inject(LOCALE_ID), { dateStyle: 'short', timeStyle: 'medium' });
  protected readonly entries = signal<readonly LogEntry[]>([]);
  protected readonly next = signal<string | undefined>(undefined);
  protected readonly failure = signal<string | undefined>(undefined);

  constructor() {
    void this.load();
  }

  /** @param before absent: from the newest on */
  protected async load(before?: string): Promise<void> {
    this.failure.set(undefined);
    try {
      const page = await this.#api.meetingLog(this.#store.roomId(), before);
      this.entries.update((known) => (before === undefined ? page.entries : [...known, ...page.entries]));
      this.next.set(page.next);
    } catch (error) {
      this.failure.set(errorText(error));
    }
  }

  protected iso(at: number): string {
    return new Date(at).toISOString();
  }

  protected time(at: number): string {
    return this.#time.format(at);
  }

  protected text(entry: LogEntry): string {
    return logText(entry, {
      organisation: (serverName) => this.#store.organisation(serverName).displayName,
      time: (at) => this.time(at),
    });
  }
}
