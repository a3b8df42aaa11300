/** Asks before something that cannot be undone. */
import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { MatButton } from '@angular/material/button';
import {
  MAT_DIALOG_DATA,
  MatDialogActions,
  MatDialogClose,
  type MatDialogConfig,
  MatDialogContent,
  MatDialogTitle,
} from '@angular/material/dialog';

export interface Question {
  /** For specs: `name-question`, `name-yes`, `name-no`. */
  readonly name: string;
  readonly title: string;
  readonly text: string;
  /** Whom it is about, when these are several. */
  readonly people?: readonly { readonly name: string; readonly organisation: string }[];
  /** On the buttons: that it is done, and that all stays as it is. */
  readonly yes: string;
  readonly no: string;
}

/** Enter, pressed once too often, does nothing: the focus is on what leaves all as it is. */
export function questionConfig(question: Question): MatDialogConfig<Question> {
  return { width: '440px', maxWidth: '96vw', autoFocus: `[data-testid=${question.name}-no]`, data: question };
}

/** Closes with true when it is to be done. */
@Component({
  selector: 'ht-question-dialog',
  imports: [MatButton, MatDialogActions, MatDialogClose, MatDialogContent, MatDialogTitle],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h2 mat-dialog-title>{{ question.title }}</h2>
    <mat-dialog-content [attr.data-testid]="question.name + '-question'">
      <p>{{ question.text }}</p>
      @if (question.people; as people) {
        <ul tabindex="0" i18n-aria-label="@@question.people" aria-label="Whom it is about">
          @for (person of people; track $index) {
            <li>
              <bdi>{{ person.name }}</bdi> (<bdi>{{ person.organisation }}</bdi
              >)
            </li>
          }
        </ul>
      }
    </mat-dialog-content>
    <mat-dialog-actions>
      <button matButton="outlined" type="button" [mat-dialog-close]="true" [attr.data-testid]="question.name + '-yes'">
        {{ question.yes }}
      </button>
      <button matButton="filled" type="button" [mat-dialog-close]="false" [attr.data-testid]="question.name + '-no'">
        {{ question.no }}
      </button>
    </mat-dialog-actions>`,
  styleUrl: './dialog.scss',
  styles: `
    ul {
      max-height: 30vh;
      margin: 0;
      padding: 0 0 0 20px;
      overflow: auto;
    }
    p {
      overflow-wrap: anywhere;
    }
  `,
})
export class QuestionDialog {
  protected readonly question = inject<Question>(MAT_DIALOG_DATA);
}
