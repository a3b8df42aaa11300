import { TestBed } from '@angular/core/testing';
import { MAT_DIALOG_DATA, MatDialogRef } from '@angular/material/dialog';
import { RenameDialog } from './rename-dialog.ts';

describe('Moderation: another name for a guest', () => {
  let closed: unknown[];
  let root: HTMLElement;

  beforeEach(() => {
    closed = [];
    TestBed.configureTestingModule({
      providers: [
        { provide: MAT_DIALOG_DATA, useValue: { name: 'Gast' } },
        { provide: MatDialogRef, useValue: { close: (name: unknown) => closed.push(name) } },
      ],
    });
    const fixture = TestBed.createComponent(RenameDialog);
    fixture.autoDetectChanges();
    root = fixture.nativeElement as HTMLElement;
    document.body.appendChild(root);
  });

  function find<E extends HTMLElement>(testid: string): E {
    const found = root.querySelector<E>(`[data-testid=${testid}]`);
    if (!found) throw new Error(`${testid} is not there`);
    return found;
  }

  it('begins with the name that the guest has, and refuses an empty one in words', async () => {
    const field = find<HTMLInputElement>('rename-name');
    expect(field.value).toBe('Gast');
    field.value = '  ';
    find('rename-yes').click();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(root.querySelector('[role=alert]')?.textContent).toContain('Please enter a name.');
    expect(field.getAttribute('aria-describedby')).toContain('rename-missing');
    expect(closed).toEqual([]);
  });

  it('closes with the name, without the spaces around it', () => {
    find<HTMLInputElement>('rename-name').value = ' Frau Petersen ';
    find('rename-yes').click();
    expect(closed).toEqual(['Frau Petersen']);
  });
});
