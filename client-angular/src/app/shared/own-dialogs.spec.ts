import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { MatDialog } from '@angular/material/dialog';
import { OwnDialogs } from './own-dialogs.ts';

@Component({ selector: 'ht-question', changeDetection: ChangeDetectionStrategy.OnPush, template: 'Question' })
class Question {}

@Component({
  selector: 'ht-owner',
  changeDetection: ChangeDetectionStrategy.OnPush,
  providers: [OwnDialogs],
  template: '',
})
class Owner {
  readonly dialogs = inject(OwnDialogs);
}

describe('The dialogs of a page', () => {
  let open: MatDialog;

  function owner() {
    open = TestBed.inject(MatDialog);
    return TestBed.createComponent(Owner);
  }

  afterEach(() => open.closeAll());

  it('give their answer', async () => {
    const { dialogs } = owner().componentInstance;
    const answer = dialogs.ask<string>(() => Promise.resolve(Question), {});
    await Promise.resolve();
    open.openDialogs[0]?.close('yes');
    expect(await answer).toBe('yes');
  });

  it('open once, however often the button is pressed', async () => {
    const { dialogs } = owner().componentInstance;
    const asked = [1, 2].map(() => dialogs.ask(() => Promise.resolve(Question), {}));
    await Promise.resolve();
    expect(open.openDialogs.length).toBe(1);
    dialogs.close();
    await Promise.all(asked);
  });

  it('do not open when the page was left while their code was loaded', async () => {
    const page = owner();
    let loaded: (component: typeof Question) => void = () => undefined;
    const answer = page.componentInstance.dialogs.ask(() => new Promise((resolve) => (loaded = resolve)), {});
    page.destroy();
    loaded(Question);
    expect(await answer).toBeUndefined();
    expect(open.openDialogs.length).toBe(0);
  });

  it('close with the page, and their answer has no meaning any more', async () => {
    const page = owner();
    const answer = page.componentInstance.dialogs.ask<string>(() => Promise.resolve(Question), {});
    await Promise.resolve();
    expect(open.openDialogs.length).toBe(1);
    page.destroy();
    expect(await answer).toBeUndefined();
    expect(open.openDialogs.length).toBe(0);
  });
});
