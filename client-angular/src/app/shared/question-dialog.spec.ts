import { TestBed } from '@angular/core/testing';
import { MAT_DIALOG_DATA, MatDialogRef } from '@angular/material/dialog';
import { type Question, questionConfig, QuestionDialog } from './question-dialog.ts';

const question: Question = {
  name: 'remove',
  title: 'Remove?',
  text: 'These 2 people leave.',
  people: [
    { name: 'Anna', organisation: 'Hamburg' },
    { name: '\u202Eevil', organisation: 'Kiel' },
  ],
  yes: 'Remove',
  no: 'Leave in the meeting',
};

describe('A question before something that cannot be undone', () => {
  let closed: unknown[];

  function dialog(): HTMLElement {
    closed = [];
    TestBed.configureTestingModule({
      providers: [
        { provide: MAT_DIALOG_DATA, useValue: question },
        { provide: MatDialogRef, useValue: { close: (answer: unknown) => closed.push(answer) } },
      ],
    });
    const fixture = TestBed.createComponent(QuestionDialog);
    fixture.detectChanges();
    return fixture.nativeElement as HTMLElement;
  }

  it('has the focus on what leaves all as it is', () => {
    const { autoFocus } = questionConfig(question);
    expect(dialog().querySelector(String(autoFocus))?.textContent.trim()).toBe('Leave in the meeting');
  });

  it('names whom it is about, whatever stands in their names', () => {
    const rows = [...dialog().querySelectorAll('li')];
    expect(rows.map((row) => row.textContent.trim())).toEqual(['Anna (Hamburg)', '\u202Eevil (Kiel)']);
    for (const row of rows) expect(row.querySelectorAll('bdi').length).toBe(2);
  });

  it('closes with true when it is to be done, and with false when not', () => {
    const root = dialog();
    root.querySelector<HTMLElement>('[data-testid=remove-yes]')?.click();
    root.querySelector<HTMLElement>('[data-testid=remove-no]')?.click();
    expect(closed).toEqual([true, false]);
  });
});
